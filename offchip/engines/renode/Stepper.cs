// SPDX-License-Identifier: Apache-2.0
//
// Virtual time for the engine protocol, in steps. Emulation.RunFor starts and stops the machine, and with it a thread
// for the core, in every call; here the emulation runs on and its dispatcher waits, at the end of a step, in the last
// action of that synchronisation point. Nothing moves meanwhile: models may be read and fed as in a stopped machine.
//
using System;
using System.Collections.Generic;
using System.Threading;

using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.CPU;
using Antmicro.Renode.Peripherals.UART;
using Antmicro.Renode.Time;

namespace Offchip.Engine
{
    public sealed class Stepper
    {
        // quantum: distance of synchronisation points while the core is awake; cells are multiples of it
        public Stepper(Emulation emulation, IMachine machine, BaseCPU cpu, ulong quantum)
        {
            this.emulation = emulation;
            this.machine = machine;
            this.cpu = cpu;
            this.quantum = quantum;
            source = emulation.MasterTimeSource;
            clock = (BaseClockSource)machine.ClockSource;
            source.AdvanceImmediately = true;
            source.SyncHook += AtSyncPoint;
            machine.MachineReset += _ => CountReset();
        }

        // What this UART sends is noted under the number.
        public void Listen(IUART uart, byte number)
        {
            uart.CharReceived += value => Note(number, value);
        }

        // Lets virtual time pass: that much, or in whole cells to the end of the first in which the core was awake or
        // anything happened. Returns what the UARTs sent: number, value and 8 bytes of virtual time for each byte.
        public byte[] Run(ulong duration, ulong cell)
        {
            Paused = false;
            if(cpu.IsHalted)  // its thread would spin while we wait
            {
                Stop();
                source.Quantum = TimeInterval.FromTicks(quantum);
                emulation.RunFor(TimeInterval.FromTicks(duration));
            }
            else
            {
                Resume(duration, cell);
                if(cpu.IsHalted)
                {
                    Stop();
                }
            }
            CountInstructions();
            lock(sent)
            {
                var result = sent.ToArray();
                sent.Clear();
                return result;
            }
        }

        // Stops the machine as after RunFor; harmless when it stands.
        public void Stop()
        {
            lock(gate)
            {
                if(!started)
                {
                    return;
                }
                stops = true;
                Monitor.PulseAll(gate);
                while(stops)
                {
                    Monitor.Wait(gate);
                }
                started = false;
            }
            source.Quantum = TimeInterval.FromTicks(quantum);  // for whoever else lets time pass
        }

        // The last Run ended early: a hook or a model paused the machine. The next one goes on from there.
        public bool Paused { get; private set; }

        public ulong Instructions
        {
            get
            {
                CountInstructions();
                return instructionsBefore + instructionsSeen;
            }
        }

        private void Resume(ulong duration, ulong cell)
        {
            lock(gate)
            {
                var now = source.ElapsedVirtualTime.Ticks;
                target = now + duration;
                this.cell = cell;
                cellEnd = Math.Min(now + cell, target);
                CountInstructions();
                executedAtSync = executedAtCell = instructionsSeen;
                eventful = false;
                lastSync = now;
                limitAtSync = clock.NearestLimitIn.Ticks;
                SetQuantum(now, false);
                waits = false;
                if(started)
                {
                    Monitor.PulseAll(gate);
                }
                else
                {
                    started = true;
                    hasExecuted = false;
                    machine.Start();
                    source.Start();
                }
                for(var checks = 0; !waits && checks < PauseChecks;)
                {
                    var nothingMoves = !Monitor.Wait(gate, PauseCheckMs) && machine.IsPaused && !machine.InternalPause;
                    checks = nothingMoves ? checks + 1 : 0;
                }
                Paused = !waits;
                started &= waits;
            }
            if(Paused)
            {
                emulation.PauseAll();
                source.Quantum = TimeInterval.FromTicks(quantum);
            }
        }

        // On the dispatcher, with the core at rest; what is due at this point, a reset for instance, comes after it.
        private void AtSyncPoint(TimeInterval time)
        {
            if(!started)
            {
                return;
            }
            var executed = cpu.ExecutedInstructions;
            var now = time.Ticks;
            while(cellEnd < now)  // it slept over the ends of these
            {
                executedAtCell = instructionsSeen = executedAtSync;
                cellEnd = Math.Min(cellEnd + cell, target);
            }
            hasExecuted |= executed != executedAtSync;
            // a timer that was reached may wake the core only now
            var limit = clock.NearestLimitIn.Ticks;
            slept = hasExecuted && executed == executedAtSync
                && now > lastSync && limit + now == limitAtSync + lastSync;
            executedAtSync = executed;
            limitAtSync = limit;
            lastSync = now;
            if(now < cellEnd)
            {
                SetQuantum(now, slept);
            }
            else
            {
                source.ExecuteInSyncedState(AtCellEnd, new TimeStamp(time, source.Domain));
            }
        }

        private void AtCellEnd(TimeStamp stamp)
        {
            var now = stamp.TimeElapsed.Ticks;
            if(now < target && IsQuiet && !cpu.IsHalted)
            {
                executedAtCell = instructionsSeen = executedAtSync;
                cellEnd = Math.Min(cellEnd + cell, target);
                SetQuantum(now, slept);
                return;
            }
            lock(gate)
            {
                if(!started)
                {
                    return;
                }
                waits = true;
                Monitor.PulseAll(gate);
                while(waits && !stops)
                {
                    Monitor.Wait(gate);
                }
                if(stops)
                {
                    emulation.PauseAll();
                    stops = false;
                    Monitor.PulseAll(gate);
                }
            }
        }

        private bool IsQuiet => !eventful && executedAtSync - executedAtCell < AwakeInstructions;

        // A core that slept through the last quantum sleeps on to the next limit of a timer: until then synchronisation
        // points find nothing to do.
        private void SetQuantum(ulong now, bool asleep)
        {
            var next = Math.Min(quantum, cellEnd - now);
            if(asleep)
            {
                var last = (IsQuiet ? target : cellEnd) - now;
                var limit = Math.Min(clock.NearestLimitIn.Ticks, last);
                next = Math.Max(next, Math.Min((limit + quantum - 1) / quantum * quantum, last));
            }
            source.Quantum = TimeInterval.FromTicks(next);
        }

        // The core's own counter starts again at a reset, which comes behind the hook of a synchronisation point.
        public void CountInstructions()
        {
            instructionsSeen = cpu.ExecutedInstructions;
        }

        private void CountReset()
        {
            instructionsBefore += Math.Max(instructionsSeen, executedAtSync);
            instructionsSeen = executedAtSync = executedAtCell = 0;
            hasExecuted = slept = false;
            eventful = true;
            var now = source.ElapsedVirtualTime.Ticks;
            if(started && now < cellEnd)
            {
                SetQuantum(now, false);
            }
        }

        private void Note(byte number, byte value)
        {
            lock(sent)
            {
                // as fresh as the last synchronisation of core and clock, never backwards
                lastTime = Math.Max(lastTime, machine.ElapsedVirtualTime.TimeElapsed.Ticks);
                sent.Add(number);
                sent.Add(value);
                sent.AddRange(BitConverter.GetBytes(lastTime));
                eventful = true;
            }
        }

        private bool started;
        private bool waits;
        private bool stops;
        private bool hasExecuted;  // since it was started: time may begin before the core does
        private bool slept;
        private ulong target;
        private ulong cell;
        private ulong cellEnd;
        private ulong executedAtSync;
        private ulong executedAtCell;
        private ulong instructionsSeen;
        private ulong instructionsBefore;
        private ulong lastSync;
        private ulong limitAtSync;
        private ulong lastTime;
        private volatile bool eventful;

        // so often, in milliseconds of the host, a machine that stands still is looked at before it counts as paused
        private const int PauseCheckMs = 100;
        private const int PauseChecks = 2;

        // a core that executes fewer in a cell only counts ticks
        private const ulong AwakeInstructions = 1000;

        private readonly Emulation emulation;
        private readonly IMachine machine;
        private readonly BaseCPU cpu;
        private readonly MasterTimeSource source;
        private readonly BaseClockSource clock;
        private readonly ulong quantum;
        private readonly object gate = new object();
        private readonly List<byte> sent = new List<byte>();
    }
}
