// SPDX-License-Identifier: Apache-2.0
//
// What board.resc and offchip.resc ask of Renode and its monitor has no command for:
//
//     emulation RequireFile @firmware.elf "advice"    nothing, or an error that ends with the advice
//     emulation DiscardMachine "offchip"              takes away what an earlier try left; nothing when there is none
//
using System.IO;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;

namespace Antmicro.Renode.Peripherals.Offchip
{
    public static class OffchipSessionExtensions
    {
        // An empty path asks for nothing.
        public static void RequireFile(this Emulation emulation, string path, string advice)
        {
            if(!string.IsNullOrEmpty(path) && !File.Exists(path))
            {
                throw new RecoverableException(string.Format("There is no file {0}; {1}", Path.GetFullPath(path), advice));
            }
        }

        public static void DiscardMachine(this Emulation emulation, string name)
        {
            IMachine machine;
            if(emulation.TryGetMachine(name, out machine))
            {
                emulation.PauseAll();
                emulation.RemoveMachine(name);
            }
        }
    }
}
