// SPDX-License-Identifier: Apache-2.0
//
// What the other models ask of the machine they sit in. Include it before them; including it again does nothing.
//
using System.IO;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals.CPU;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Offchip
{
    public static class OffchipHost
    {
        // The machine's clock stands still between synchronisations; this moves it to where the running core is.
        public static void SyncTime(IMachine machine)
        {
            ICPU cpu;
            if(machine.SystemBus.TryGetCurrentCPU(out cpu))
            {
                cpu.SyncTime();
            }
        }

        // Virtual time, to the translation block of the running core.
        public static TimeInterval Now(IMachine machine)
        {
            SyncTime(machine);
            return machine.ElapsedVirtualTime.TimeElapsed;
        }

        // The content of a file of exactly that size; one that is missing is made of the cells.
        public static void LoadImage(string imageFile, byte[] cells, string what)
        {
            try
            {
                if(!File.Exists(imageFile))
                {
                    File.WriteAllBytes(imageFile, cells);
                }
                var content = File.ReadAllBytes(imageFile);
                if(content.Length != cells.Length)
                {
                    throw new RecoverableException(what + " image " + imageFile + " has " + content.Length + " bytes, but must have " + cells.Length);
                }
                content.CopyTo(cells, 0);
            }
            catch(IOException e)
            {
                throw new RecoverableException(what + " image " + imageFile + ": " + e.Message);
            }
        }

        // Writes a part of the cells to their file; an empty name does nothing.
        public static void SaveImage(string imageFile, byte[] cells, int offset, int count)
        {
            if(string.IsNullOrEmpty(imageFile))
            {
                return;
            }
            using(var file = new FileStream(imageFile, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite))
            {
                file.Seek(offset, SeekOrigin.Begin);
                file.Write(cells, offset, count);
            }
        }

        // "halt" stops the core (inside emulation RunFor, where a pause is ignored), "pause" the emulation (after start).
        public static void Stop(IMachine machine, string how)
        {
            if(how == "halt")
            {
                ICPU cpu;
                if(machine.SystemBus.TryGetCurrentCPU(out cpu))
                {
                    cpu.IsHalted = true;
                }
            }
            else if(how == "pause")
            {
                machine.PauseAndRequestEmulationPause(true);
            }
        }
    }
}
