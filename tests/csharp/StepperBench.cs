// SPDX-License-Identifier: Apache-2.0
//
// The stepper on a core that only counts. What is going to happen is planned at absolute times in ns:
//
//     wake TIME NS      the core executes so long, 168 instructions a microsecond; otherwise it sleeps
//     byte TIME VALUE   the UART sends
//     reset TIME        of the machine: the core counts from 0 again
//     halt TIME
//     run DURATION CELL   answers time, instructions, synchronisation points so far, bytes as "number value time"
//     stop
using System;
using System.Collections.Generic;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Peripherals;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.CPU;
using Antmicro.Renode.Peripherals.UART;
using Antmicro.Renode.Time;
using Offchip.Engine;

public class StepperBench : IMachine, IUART
{
    public static void Main()
    {
        var bench = new StepperBench();
        Console.WriteLine("stepper");
        string line;
        while((line = Console.ReadLine()) != null)
        {
            var word = line.Split(' ');
            Console.WriteLine(bench.Answer(word[0], word.Skip(1).Select(ulong.Parse).ToArray()));
        }
    }

    private StepperBench()
    {
        emulation.MasterTimeSource.Sink = Live;
        stepper = new Stepper(emulation, this, core, 100000);
        stepper.Listen(this, 7);
    }

    private string Answer(string what, ulong[] number)
    {
        switch(what)
        {
        case "wake": clock.Queue.At(number[0], () => awakeUntil = number[0] + number[1]); return "";
        case "byte": clock.Queue.At(number[0], () => CharReceived((byte)number[1])); return "";
        case "reset": clock.Queue.At(number[0], () => resetDue = true); return "";
        case "halt": clock.Queue.At(number[0], () => core.IsHalted = true); return "";
        case "stop": stepper.Stop(); return "";
        case "run":
            var bytes = stepper.Run(number[0], number[1]);
            var sent = Enumerable.Range(0, bytes.Length / 10).Select(i => string.Format(
                " {0} {1} {2}", bytes[10 * i], bytes[10 * i + 1], BitConverter.ToUInt64(bytes, 10 * i + 2)));
            var source = emulation.MasterTimeSource;
            return string.Format("{0} {1} {2}", source.ElapsedVirtualTime.Ticks, stepper.Instructions, source.SyncPoints)
                + string.Concat(sent);
        }
        throw new ArgumentException(what);
    }

    // the machine until that time: timers at their times, the core in between
    private void Live(ulong end)
    {
        clock.Queue.AdvanceTo(clock.Queue.Now);
        while(clock.Queue.Now < end)
        {
            var next = Math.Min(end, clock.Queue.Nearest > end ? end : clock.Queue.Now + clock.Queue.Nearest);
            next = Math.Max(next, clock.Queue.Now + 1);
            if(!core.IsHalted && awakeUntil > clock.Queue.Now)
            {
                core.Awake += Math.Min(next, awakeUntil) - clock.Queue.Now;
            }
            clock.Queue.AdvanceTo(next);
        }
        if(resetDue)  // carried out in the synchronisation that follows
        {
            resetDue = false;
            emulation.MasterTimeSource.ExecuteInSyncedState(_ =>
            {
                core.Awake = 0;
                MachineReset(this);
            }, new TimeStamp());
        }
    }

    public void RegisterAsAChildOf(IPeripheral parent, IPeripheral child, IRegistrationPoint point) { }
    public void UnregisterAsAChildOf(IPeripheral parent, IPeripheral child) { }
    public void PauseAndRequestEmulationPause(bool precise = false) { }
    public void ScheduleAction(TimeInterval delay, Action<TimeInterval> action, string name = null) { }
    public void Start() { }
    public bool IsPaused { get { return false; } }
    public bool InternalPause { get { return false; } }
    public IBusController SystemBus { get { return null; } }
    public IClockSource ClockSource { get { return clock; } }
    public TimeStamp ElapsedVirtualTime { get { return new TimeStamp(TimeInterval.FromTicks(clock.Queue.Now), null); } }
    public event Action<IMachine> MachineReset;
#if RENODE_MASTER
    public int UniqueObjectId { get { return 1; } }
    public bool IsHalted { get; set; }
#endif

    public void WriteChar(byte value) { }
    public void Reset() { }
    public event Action<byte> CharReceived;

    private ulong awakeUntil;
    private bool resetDue;
    private readonly Emulation emulation = new Emulation();
    private readonly BaseClockSource clock = new BaseClockSource();
    private readonly Core core = new Core();
    private readonly Stepper stepper;

    private class Core : BaseCPU
    {
        public override void Reset() { }
        public override ulong ExecutedInstructions { get { return Awake * 168 / 1000; } }

        public ulong Awake;  // ns
    }
}
