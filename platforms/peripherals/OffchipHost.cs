// SPDX-License-Identifier: Apache-2.0
//
// What the other models ask of the machine they sit in. Include it before them; including it again does nothing.
//
using Antmicro.Renode.Core;
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
