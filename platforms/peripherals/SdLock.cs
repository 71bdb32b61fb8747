// SPDX-License-Identifier: Apache-2.0
//
// The password of an SD card, CMD42 (SD Physical Layer Simplified Specification, 4.3.7). Twin of card_lock.py. What the write
// protections of the CSD mean for a forced erase is the card's (table 4-7).
//
using System;

namespace Antmicro.Renode.Peripherals.Offchip
{
    public class SdLock
    {
        // A card with a password is locked whenever its supply returns.
        public void PowerUp()
        {
            Locked = password.Length > 0;
        }

        // ERASE stands alone; the rest of the block is not looked at.
        public static bool IsForceErase(byte[] data)
        {
            return (data[0] & Mode) == ForceErase;
        }

        // The data block of one CMD42, a byte at least: mode, PWDS_LEN, passwords. False: LOCK_UNLOCK_FAILED (table 4-7).
        public bool Take(byte[] data)
        {
            var mode = data[0] & Mode;
            if(mode == ForceErase)
            {
                return Erase();
            }
            var length = data.Length > 1 ? data[1] : 0;
            if(data.Length < 2 + length && length > 0)
            {
                return false;
            }
            var given = new byte[length];
            Array.Copy(data, Math.Min(2, data.Length), given, 0, length);
            if(mode == SetPassword || mode == (SetPassword | Lock))
            {
                return Replace(given, mode != SetPassword);
            }
            if(password.Length == 0 || !StartsWith(given, password) || given.Length != password.Length)
            {
                return false;
            }
            if(mode == ClearPassword)
            {
                password = new byte[0];
                Locked = false;
                return true;
            }
            if((mode != 0 && mode != Lock) || Locked == (mode == Lock))
            {
                return false;
            }
            Locked = mode == Lock;
            return true;
        }

        public bool Locked { get; private set; }

        private bool Erase()
        {
            if(!Locked)
            {
                return false;
            }
            password = new byte[0];
            Locked = false;
            return true;
        }

        // The present password, where there is one, and behind it the new one.
        private bool Replace(byte[] given, bool locks)
        {
            var length = given.Length - password.Length;
            if(length <= 0 || length > Maximum || !StartsWith(given, password))
            {
                return false;
            }
            var fresh = new byte[length];
            Array.Copy(given, password.Length, fresh, 0, length);
            password = fresh;
            Locked = locks;
            return true;
        }

        private static bool StartsWith(byte[] bytes, byte[] beginning)
        {
            if(bytes.Length < beginning.Length)
            {
                return false;
            }
            for(var i = 0; i < beginning.Length; ++i)
            {
                if(bytes[i] != beginning[i])
                {
                    return false;
                }
            }
            return true;
        }

        private byte[] password = new byte[0];

        // bits of the first byte of the data block (table 4-4)
        private const int SetPassword = 0x01, ClearPassword = 0x02, Lock = 0x04, ForceErase = 0x08, Mode = 0x0F;
        private const int Maximum = 16;
    }
}
