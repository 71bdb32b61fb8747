// SPDX-License-Identifier: Apache-2.0
//
// What board.resc and offchip.resc ask of Renode and its monitor has no command for. Include OffchipTerminal.cs before it.
//
//     emulation RequireFile @firmware.elf "advice"    nothing, or an error that ends with the advice
//     emulation DiscardMachine "offchip"              takes away what an earlier try left; nothing when there is none
//
using System.IO;
using System.Linq;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals;
using Antmicro.Renode.UserInterface;

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

        // With its terminals: they would keep their names and ports.
        public static void DiscardMachine(this Emulation emulation, string name)
        {
            IMachine machine;
            if(!emulation.TryGetMachine(name, out machine))
            {
                return;
            }
            emulation.PauseAll();
            foreach(var terminal in emulation.ExternalsManager.GetExternalsOfType<OffchipTerminal>().ToList())
            {
                if(terminal.Uart == null || terminal.Uart.GetMachine() == machine)
                {
                    emulation.ExternalsManager.RemoveExternal(terminal);
                    terminal.Dispose();
                }
            }
            // the monitor does not always notice, and a variable looked for in a machine that is gone ends it
            var monitor = ObjectCreator.Instance.GetSurrogate<Monitor>();
            if(monitor != null && monitor.Machine == machine)
            {
                monitor.Machine = null;
            }
            emulation.RemoveMachine(name);
        }
    }
}
