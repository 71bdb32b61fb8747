// SPDX-License-Identifier: Apache-2.0
//
// Registers and checksums of an SD card: CSD, CID (SD Physical Layer Simplified Specification 5.2, 5.3), CRC7, CRC16 (4.5).
//
using System;

using Antmicro.Renode.Exceptions;

namespace Antmicro.Renode.Peripherals.Offchip
{
    public static class SdRegisters
    {
        public static byte[] Csd1(long capacity)
        {
            var readLength = capacity > 0x40000000L ? 10 : 9;
            var units = capacity >> readLength;
            var exponent = 0;
            while(exponent < 7 && (units >> (exponent + 2)) > 4096)
            {
                exponent++;
            }
            var size = (units >> (exponent + 2)) - 1;
            if(size < 0 || size > 4095 || ((size + 1) << (exponent + 2 + readLength)) != capacity)
            {
                throw new ConstructionException("SdCardSpi: this capacity cannot be expressed in a version 1 CSD");
            }
            var r = new byte[16];
            Put(r, 126, 2, 0);              // CSD_STRUCTURE 1.0
            Put(r, 112, 8, 0x26);           // TAAC 1.5 ms
            Put(r, 96, 8, 0x32);            // 25 MHz
            Put(r, 84, 12, 0x135);          // classes 0, 2, 4, 5, 8
            Put(r, 80, 4, readLength);
            Put(r, 79, 1, 1);               // partial reads
            Put(r, 62, 12, size);
            Put(r, 59, 3, 5); Put(r, 56, 3, 5); Put(r, 53, 3, 5); Put(r, 50, 3, 5);
            Put(r, 47, 3, exponent);
            Put(r, 46, 1, 1);               // erase single blocks
            Put(r, 39, 7, 0x7F);
            Put(r, 26, 3, 2);
            Put(r, 22, 4, readLength);
            return Seal(r);
        }

        public static byte[] Csd2(long capacity)
        {
            var r = new byte[16];
            Put(r, 126, 2, 1);              // CSD_STRUCTURE 2.0
            Put(r, 112, 8, 0x0E);
            Put(r, 96, 8, 0x32);
            Put(r, 84, 12, 0x135);
            Put(r, 80, 4, 9);
            Put(r, 48, 22, capacity / 0x80000 - 1);
            Put(r, 46, 1, 1);
            Put(r, 39, 7, 0x7F);
            Put(r, 26, 3, 2);
            Put(r, 22, 4, 9);
            return Seal(r);
        }

        public static byte[] Cid(uint serialNumber)
        {
            var r = new byte[16];
            var text = new byte[] { 0x5A, (byte)'O', (byte)'F', (byte)'C', (byte)'H', (byte)'I', (byte)'P', (byte)'0', 0x10 };
            Array.Copy(text, r, text.Length);
            Put(r, 24, 32, serialNumber);
            Put(r, 8, 12, 0x1A1);           // January 2026
            return Seal(r);
        }

        // Byte 14 of a CSD.
        public static int Flags(byte[] csd)
        {
            return csd[14];
        }

        // A CSD with another byte 14, and its CRC put right.
        public static byte[] WithFlags(byte[] csd, int flags)
        {
            var result = (byte[])csd.Clone();
            result[14] = (byte)flags;
            return Seal(result);
        }

        // What PROGRAM_CSD (CMD27) makes of a CSD; null: CSD_OVERWRITE, the read-only part is another or a bit that can be set
        // only would be cleared (4.10.1). The CRC that was sent is not looked at, the card makes its own.
        public static byte[] Programmed(byte[] csd, byte[] sent)
        {
            for(var i = 0; i < 14; ++i)
            {
                if(sent[i] != csd[i])
                {
                    return null;
                }
            }
            var changed = csd[14] ^ sent[14];
            if((csd[14] & Once & ~sent[14]) != 0 || (changed & ~Writable & 0xFF) != 0)
            {
                return null;
            }
            return WithFlags(csd, sent[14]);
        }

        // Of that byte (5.3.2): what protects the whole card, for ever and until it is cleared
        public const int PermWriteProtect = 0x20, TmpWriteProtect = 0x10;
        // and what CMD27 can set and never clear, and all it can set
        private const int Once = 0xEC, Writable = 0xFC;

        private static void Put(byte[] r, int bit, int width, long value)
        {
            for(var i = 0; i < width; ++i)
            {
                if(((value >> i) & 1) != 0)
                {
                    var n = bit + i;
                    r[15 - n / 8] |= (byte)(1 << (n % 8));
                }
            }
        }

        private static byte[] Seal(byte[] r)
        {
            r[15] = Crc7(r, 15);
            return r;
        }

        // CRC7 (x^7 + x^3 + 1) with the end bit appended
        public static byte Crc7(byte[] data, int count)
        {
            var crc = 0;
            for(var i = 0; i < count; ++i)
            {
                for(var bit = 7; bit >= 0; --bit)
                {
                    var feedback = ((crc >> 6) ^ (data[i] >> bit)) & 1;
                    crc = (crc << 1) & 0x7F;
                    if(feedback != 0)
                    {
                        crc ^= 0x09;
                    }
                }
            }
            return (byte)((crc << 1) | 1);
        }

        // CRC16, polynomial 0x1021, start value 0
        public static ushort Crc16(byte[] data, int count)
        {
            var crc = 0;
            for(var i = 0; i < count; ++i)
            {
                crc = ((crc << 8) ^ Crc16Table[((crc >> 8) ^ data[i]) & 0xFF]) & 0xFFFF;
            }
            return (ushort)crc;
        }

        // Hexadecimal digits as bytes; FormatException for anything else
        public static byte[] Bytes(string digits)
        {
            if(digits.Length % 2 != 0)
            {
                throw new FormatException();
            }
            var result = new byte[digits.Length / 2];
            for(var i = 0; i < result.Length; ++i)
            {
                result[i] = Convert.ToByte(digits.Substring(2 * i, 2), 16);
            }
            return result;
        }

        private static int[] MakeCrc16Table()
        {
            var table = new int[256];
            for(var i = 0; i < 256; ++i)
            {
                var v = i << 8;
                for(var k = 0; k < 8; ++k)
                {
                    v = (v & 0x8000) != 0 ? ((v << 1) ^ 0x1021) & 0xFFFF : (v << 1) & 0xFFFF;
                }
                table[i] = v;
            }
            return table;
        }

        private static readonly int[] Crc16Table = MakeCrc16Table();
    }
}
