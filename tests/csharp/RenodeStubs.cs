// SPDX-License-Identifier: Apache-2.0
// The parts of Renode 1.16.1 that platforms/peripherals/*.cs use: same names and signatures, just enough behaviour for a bench.
// A model that compiles against this file uses nothing else of Renode.
using System;
using System.Collections.Generic;

namespace Antmicro.Migrant
{
    [AttributeUsage(AttributeTargets.Field | AttributeTargets.Class)]
    public sealed class TransientAttribute : Attribute
    {
    }
}

namespace Antmicro.Renode.Exceptions
{
    public class RecoverableException : Exception
    {
        public RecoverableException(string message) : base(message) { }
    }

    public class ConstructionException : RecoverableException
    {
        public ConstructionException(string message) : base(message) { }
    }

    public class RegistrationException : RecoverableException
    {
        public RegistrationException(string message) : base(message) { }
    }
}

namespace Antmicro.Renode.Time
{
    public struct TimeInterval : IComparable<TimeInterval>
    {
        public static TimeInterval FromTicks(ulong ticks) { return new TimeInterval { Ticks = ticks }; }
        public static TimeInterval FromNanoseconds(ulong v) { return FromTicks(v); }
        public static TimeInterval FromMicroseconds(ulong v) { return FromTicks(v * 1000); }
        public static TimeInterval operator +(TimeInterval a, TimeInterval b) { return FromTicks(a.Ticks + b.Ticks); }
        public static bool operator <(TimeInterval a, TimeInterval b) { return a.Ticks < b.Ticks; }
        public static bool operator >(TimeInterval a, TimeInterval b) { return a.Ticks > b.Ticks; }
        public static bool operator ==(TimeInterval a, TimeInterval b) { return a.Ticks == b.Ticks; }
        public static bool operator !=(TimeInterval a, TimeInterval b) { return a.Ticks != b.Ticks; }

        public int CompareTo(TimeInterval other) { return Ticks.CompareTo(other.Ticks); }
        public override bool Equals(object other) { return other is TimeInterval && ((TimeInterval)other).Ticks == Ticks; }
        public override int GetHashCode() { return Ticks.GetHashCode(); }

        public ulong Ticks { get; private set; }
        public double TotalSeconds { get { return Ticks / 1e9; } }
        public ulong TotalNanoseconds { get { return Ticks; } }

        public static readonly TimeInterval Empty = FromTicks(0);
        public static readonly TimeInterval Maximal = FromTicks(ulong.MaxValue);
    }

    public interface ITimeDomain
    {
    }

    public struct TimeStamp
    {
        public TimeStamp(TimeInterval interval, ITimeDomain domain)
        {
            TimeElapsed = interval;
            Domain = domain;
        }

        public TimeInterval TimeElapsed { get; private set; }
        public ITimeDomain Domain { get; private set; }
    }

    public interface IClockSource
    {
    }

    public enum Direction { Ascending, Descending }

    public enum WorkMode { Periodic, OneShot }

    // Actions at their time, then in the order they were asked for. Both clocks of the stubs hang on it.
    public class StubQueue
    {
        public ulong Now { get; private set; }

        public object At(ulong time, Action what)
        {
            var entry = new Entry { Time = Math.Max(time, Now), Order = order++, What = what };
            var at = entries.Count;
            while(at > 0 && entries[at - 1].Time > entry.Time)
            {
                at--;
            }
            entries.Insert(at, entry);
            return entry;
        }

        public void Cancel(object entry) { entries.Remove((Entry)entry); }

        public void AdvanceTo(ulong time)
        {
            while(entries.Count > 0 && entries[0].Time <= time)
            {
                var entry = entries[0];
                entries.RemoveAt(0);
                Now = Math.Max(Now, entry.Time);
                entry.What();
            }
            Now = time;
        }

        // Renode counts down without a limit, too
        public ulong Nearest { get { return entries.Count > 0 ? entries[0].Time - Now : ulong.MaxValue - Now; } }

        private ulong order;
        private readonly List<Entry> entries = new List<Entry>();

        private class Entry
        {
            public ulong Time, Order;
            public Action What;
        }
    }

    public abstract class TimeSourceBase
    {
        protected TimeSourceBase() { Quantum = TimeInterval.FromMicroseconds(100); }

        public ulong ExecuteInSyncedState(Action<TimeStamp> what, TimeStamp when)
        {
            lock(delayed)
            {
                delayed.Add(new KeyValuePair<ulong, Action<TimeStamp>>(when.TimeElapsed.Ticks, what));
                return (ulong)delayed.Count;
            }
        }

        public TimeInterval ElapsedVirtualTime { get; private set; }
        public TimeInterval Quantum { get; set; }
        public bool AdvanceImmediately { get; set; }
        public abstract ITimeDomain Domain { get; }

        public event Action<TimeInterval> SyncHook;

        public Action<ulong> Sink = _ => { };  // not Renode's: the machine, which lives to that time
        public long SyncPoints;  // neither

        // Renode: grants the machine a quantum, waits for it, then hook and delayed actions, the earliest first
        protected ulong InnerExecute(ulong limit)
        {
            var step = Math.Min(limit, Quantum.Ticks);
            ElapsedVirtualTime += TimeInterval.FromTicks(step);
            Sink(ElapsedVirtualTime.Ticks);
            SyncPoints++;
            var now = new TimeStamp(ElapsedVirtualTime, Domain);
            List<KeyValuePair<ulong, Action<TimeStamp>>> due;
            lock(delayed)
            {
                if(SyncHook != null)
                {
                    SyncHook(ElapsedVirtualTime);
                }
                due = delayed.FindAll(task => task.Key <= now.TimeElapsed.Ticks);
                delayed.RemoveAll(task => task.Key <= now.TimeElapsed.Ticks);
            }
            due.Sort((a, b) => a.Key.CompareTo(b.Key));
            foreach(var task in due)
            {
                task.Value(now);
            }
            return step;
        }

        private readonly List<KeyValuePair<ulong, Action<TimeStamp>>> delayed = new List<KeyValuePair<ulong, Action<TimeStamp>>>();
    }

    public class MasterTimeSource : TimeSourceBase, ITimeDomain
    {
        public void Start()
        {
            if(dispatcher != null)
            {
                dispatcher.Join();
            }
            cancelled = false;
            dispatcher = new System.Threading.Thread(() =>
            {
                while(!cancelled)
                {
                    InnerExecute(ulong.MaxValue);
                }
            }) { IsBackground = true };
            dispatcher.Start();
        }

        public void Stop()
        {
            cancelled = true;
            if(dispatcher != null && dispatcher != System.Threading.Thread.CurrentThread)
            {
                dispatcher.Join();
            }
        }

        public void RunFor(TimeInterval period)
        {
            if(dispatcher != null)
            {
                dispatcher.Join();
            }
            for(var left = period.Ticks; left > 0;)
            {
                left -= InnerExecute(left);
            }
        }

        public override ITimeDomain Domain { get { return this; } }

        private volatile bool cancelled;
        private System.Threading.Thread dispatcher;
    }

    public class BaseClockSource : IClockSource
    {
        public TimeInterval NearestLimitIn { get { return TimeInterval.FromTicks(Queue.Nearest); } }

        public readonly StubQueue Queue = new StubQueue();  // not Renode's
    }
}

namespace Antmicro.Renode.Core
{
    using Antmicro.Renode.Core.Structure;
    using Antmicro.Renode.Exceptions;
    using Antmicro.Renode.Peripherals;
    using Antmicro.Renode.Peripherals.Bus;
    using Antmicro.Renode.Time;

    public interface IEmulationElement
    {
    }

    public interface IExternal : IEmulationElement
    {
    }

    public sealed class ExternalsManager
    {
        public void AddExternal(IExternal external, string name)
        {
            if(externals.ContainsKey(name))
            {
                throw new RecoverableException("External's name already in use");
            }
            externals.Add(name, external);
        }

        public bool TryGetByName<T>(string name, out T result) where T : class
        {
            IExternal found;
            externals.TryGetValue(name, out found);
            result = found as T;
            return result != null;
        }

        public IEnumerable<T> GetExternalsOfType<T>() where T : IExternal
        {
            foreach(var external in externals.Values)
            {
                if(external is T)
                {
                    yield return (T)external;
                }
            }
        }

        public void RemoveExternal(IExternal external)  // does not dispose
        {
            string name = null;
            foreach(var entry in externals)
            {
                name = ReferenceEquals(entry.Value, external) ? entry.Key : name;
            }
            if(name == null)
            {
                throw new RecoverableException("External not registered");
            }
            externals.Remove(name);
        }

        public void Clear()
        {
            foreach(var external in externals.Values)
            {
                var disposable = external as IDisposable;
                if(disposable != null)
                {
                    disposable.Dispose();
                }
            }
            externals.Clear();
        }

        private readonly Dictionary<string, IExternal> externals = new Dictionary<string, IExternal>();
    }

    public sealed class ObjectCreator
    {
        public static readonly ObjectCreator Instance = new ObjectCreator();

        public T GetSurrogate<T>() where T : class { return surrogate as T; }

        public object surrogate;  // of the bench
    }

    public class Emulation : IDisposable
    {
        public Emulation()
        {
            ExternalsManager = new ExternalsManager();
            MasterTimeSource = new MasterTimeSource();
        }

        public void Dispose() { ExternalsManager.Clear(); }
        public void AddMachine(IMachine machine, string name) { machines.Add(name, machine); }
        public bool TryGetMachine(string name, out IMachine machine) { return machines.TryGetValue(name, out machine); }
        public void RemoveMachine(string name) { machines.Remove(name); }
        public void RunFor(TimeInterval period) { MasterTimeSource.RunFor(period); }

        public void PauseAll()
        {
            Pauses++;
            MasterTimeSource.Stop();
        }

        public int Pauses { get; private set; }  // of the bench

        public MasterTimeSource MasterTimeSource { get; private set; }
        public ExternalsManager ExternalsManager { get; private set; }

        private readonly Dictionary<string, IMachine> machines = new Dictionary<string, IMachine>();
    }

    public interface IGPIOReceiver : IPeripheral
    {
        void OnGPIO(int number, bool value);
    }

    public class GPIO
    {
        public void Set(bool value) { IsSet = value; }

        public bool IsSet { get; private set; }
    }

#if RENODE_MASTER
    public interface IIdentifiable
    {
        int UniqueObjectId { get; }
    }

    public interface IHaltable
    {
        bool IsHalted { set; }
    }

    public interface IMachine : IEmulationElement, IIdentifiable, IHaltable
#else
    public interface IMachine : IEmulationElement
#endif
    {
        void RegisterAsAChildOf(IPeripheral peripheralParent, IPeripheral peripheralChild, IRegistrationPoint registrationPoint);
        void UnregisterAsAChildOf(IPeripheral peripheralParent, IPeripheral peripheralChild);
        void ScheduleAction(TimeInterval delay, Action<TimeInterval> action, string name = null);
        void PauseAndRequestEmulationPause(bool precise = false);
        void Start();

        IBusController SystemBus { get; }
        IClockSource ClockSource { get; }
        TimeStamp ElapsedVirtualTime { get; }
        bool IsPaused { get; }
        bool InternalPause { get; }

        event Action<IMachine> MachineReset;
    }
}

namespace Antmicro.Renode.Core.Structure
{
    using Antmicro.Renode.Exceptions;
    using Antmicro.Renode.Peripherals;

    public interface IRegistrationPoint
    {
    }

    public class NullRegistrationPoint : IRegistrationPoint
    {
        public static readonly NullRegistrationPoint Instance = new NullRegistrationPoint();
    }

    public class NumberRegistrationPoint<T> : IRegistrationPoint
    {
        public NumberRegistrationPoint(T address) { Address = address; }

        public T Address { get; private set; }
    }

    public interface IRegisterablePeripheral<TPeripheral, TPoint> : IPeripheral
        where TPeripheral : IPeripheral where TPoint : IRegistrationPoint
    {
        void Register(TPeripheral peripheral, TPoint registrationPoint);
        void Unregister(TPeripheral peripheral);
    }

    public abstract class SimpleContainer<T> : IRegisterablePeripheral<T, NumberRegistrationPoint<int>> where T : IPeripheral
    {
        public virtual void Register(T peripheral, NumberRegistrationPoint<int> registrationPoint)
        {
            ChildCollection.Add(registrationPoint.Address, peripheral);
        }

        public virtual void Unregister(T peripheral) { throw new RegistrationException("not on the bench"); }
        public abstract void Reset();

        protected SimpleContainer(IMachine machine) { this.machine = machine; }

        protected bool TryGetByAddress(int address, out T peripheral) { return ChildCollection.TryGetValue(address, out peripheral); }

        protected Dictionary<int, T> ChildCollection = new Dictionary<int, T>();
        protected readonly IMachine machine;
    }

    public abstract class NullRegistrationPointPeripheralContainer<TPeripheral> : IRegisterablePeripheral<TPeripheral, NullRegistrationPoint>
        where TPeripheral : class, IPeripheral
    {
        public virtual void Register(TPeripheral peripheral, NullRegistrationPoint registrationPoint) { RegisteredPeripheral = peripheral; }
        public virtual void Unregister(TPeripheral peripheral) { RegisteredPeripheral = null; }
        public abstract void Reset();

        protected NullRegistrationPointPeripheralContainer(IMachine machine) { Machine = machine; }

        protected TPeripheral RegisteredPeripheral { get; private set; }

        protected readonly IMachine Machine;
    }
}

namespace Antmicro.Renode.Logging
{
    using Antmicro.Renode.Core;

    public sealed class LogLevel
    {
        public static readonly LogLevel Noisy = new LogLevel(), Debug = new LogLevel(), Info = new LogLevel();
        public static readonly LogLevel Warning = new LogLevel(), Error = new LogLevel();
    }

    public static class Logger
    {
        public static void Log(this IEmulationElement e, LogLevel type, string message, params object[] args)
        {
            if(type == LogLevel.Error)
            {
                Error = string.Format(e.GetType().Name + ": " + message, args).Replace('\n', ' ');
            }
        }

        public static string Error = "";  // not Renode's: the last error a model logged
    }
}

namespace Antmicro.Renode.Peripherals
{
    using Antmicro.Renode.Core;

    public interface IPeripheral : IEmulationElement
    {
        void Reset();
    }

    public static class IPeripheralExtensions
    {
        public static IMachine GetMachine(this IPeripheral peripheral) { return null; }  // of the bench
    }
}

namespace Antmicro.Renode.Peripherals.CPU
{
    public interface ICPU : IPeripheral
    {
        void SyncTime();
        bool IsHalted { get; set; }
    }

    public abstract class BaseCPU : ICPU
    {
        public abstract void Reset();
        public void SyncTime() { }

        public virtual bool IsHalted { get; set; }
        public abstract ulong ExecutedInstructions { get; }
    }
}

namespace Antmicro.Renode.Peripherals.Bus
{
    using Antmicro.Renode.Peripherals.CPU;

    public interface IBusPeripheral : IPeripheral
    {
    }

    public interface IBytePeripheral : IBusPeripheral
    {
        byte ReadByte(long offset);
        void WriteByte(long offset, byte value);
    }

    public interface IWordPeripheral : IBusPeripheral
    {
        ushort ReadWord(long offset);
        void WriteWord(long offset, ushort value);
    }

    public interface IDoubleWordPeripheral : IBusPeripheral
    {
        uint ReadDoubleWord(long offset);
        void WriteDoubleWord(long offset, uint value);
    }

    public interface IMultibyteWritePeripheral
    {
        byte[] ReadBytes(long offset, int count, IPeripheral context = null);
        void WriteBytes(long offset, byte[] array, int startingIndex, int count, IPeripheral context = null);
    }

    public interface IKnownSize : IBusPeripheral
    {
        long Size { get; }
    }

    public interface IBusController : IPeripheral
    {
        IEnumerable<ICPU> GetCPUs();
        bool TryGetCurrentCPU(out ICPU cpu);
#if RENODE_MASTER
        byte[] ReadBytes(ulong address, int count, bool onlyMemory = false, IPeripheral context = null, ulong? cpuState = null);
        void WriteBytes(byte[] bytes, ulong address, bool onlyMemory = false, IPeripheral context = null, ulong? cpuState = null);
#else
        byte[] ReadBytes(ulong address, int count, bool onlyMemory = false, IPeripheral context = null);
        void WriteBytes(byte[] bytes, ulong address, bool onlyMemory = false, IPeripheral context = null);
#endif
    }

    [Flags]
    public enum AllowedTranslation { ByteToDoubleWord = 1, WordToDoubleWord = 2 }

    [AttributeUsage(AttributeTargets.Class)]
    public class AllowedTranslationsAttribute : Attribute
    {
        public AllowedTranslationsAttribute(AllowedTranslation allowedTranslations) { }
    }

    [AttributeUsage(AttributeTargets.Method)]
    public class ConnectionRegionAttribute : Attribute
    {
        public ConnectionRegionAttribute(string name) { }
    }
}

namespace Antmicro.Renode.Peripherals.I2C
{
    public interface II2CPeripheral : IPeripheral
    {
        void Write(byte[] data);
        byte[] Read(int count = 1);
        void FinishTransmission();
    }
}

namespace Antmicro.Renode.Peripherals.UART
{
    public interface IUART : IPeripheral
    {
        event Action<byte> CharReceived;
        void WriteChar(byte value);
    }
}

namespace Antmicro.Renode.Backends.Terminals
{
    using Antmicro.Renode.Core;
    using Antmicro.Renode.Peripherals.UART;

    public abstract class BackendTerminal : IExternal
    {
        public virtual void AttachTo(IUART uart)
        {
            CharReceived += uart.WriteChar;  // Renode: in its time domain
            uart.CharReceived += WriteChar;
        }

        public abstract void WriteChar(byte value);

        public virtual event Action<byte> CharReceived;

        protected void CallCharReceived(byte value)
        {
            var charReceived = CharReceived;
            if(charReceived != null)
            {
                charReceived(value);
            }
        }
    }
}

namespace Antmicro.Renode.Peripherals.SPI
{
    public interface ISPIPeripheral : IPeripheral
    {
        byte Transmit(byte data);
        void FinishTransmission();
    }
}

namespace Antmicro.Renode.Peripherals.Memory
{
    using Antmicro.Renode.Core;
    using Antmicro.Renode.Peripherals.Bus;

    public sealed class MappedMemory : IPeripheral
    {
        public MappedMemory(IMachine machine, long size)
        {
            bytes = new byte[size];
        }

        public void Reset() { }

        public byte[] ReadBytes(long offset, int count, IPeripheral context = null)
        {
            var result = new byte[count];
            Array.Copy(bytes, offset, result, 0, count);
            return result;
        }

        public void WriteBytes(long offset, byte[] value) { Array.Copy(value, 0, bytes, offset, value.Length); }

        private readonly byte[] bytes;
    }
}

namespace Antmicro.Renode.Peripherals.Timers
{
    using Antmicro.Renode.Time;

    // counts up to its limit, once
    public class LimitTimer : IPeripheral
    {
        public LimitTimer(IClockSource clockSource, ulong frequency, IPeripheral owner, string localName, ulong limit = ulong.MaxValue,
            Direction direction = Direction.Descending, bool enabled = false, WorkMode workMode = WorkMode.Periodic,
            bool eventEnabled = false, bool autoUpdate = false, ulong divider = 1)
        {
            if(frequency != 1000000000 || direction != Direction.Ascending || workMode != WorkMode.OneShot || !eventEnabled)
            {
                throw new NotImplementedException();
            }
            queue = ((BaseClockSource)clockSource).Queue;
            Limit = limit;
        }

        public void Reset() { throw new NotImplementedException(); }

        public bool Enabled
        {
            get { return expiry != null; }
            set
            {
                if(expiry != null)
                {
                    queue.Cancel(expiry);
                    expiry = null;
                }
                if(value)
                {
                    expiry = queue.At(queue.Now + Limit - Value, Expire);
                }
            }
        }

        public ulong Limit { get; set; }
        public ulong Value { get; set; }

        public event Action LimitReached;

        private void Expire()
        {
            expiry = null;
            LimitReached();
        }

        private object expiry;
        private readonly StubQueue queue;
    }
}

namespace Antmicro.Renode.UserInterface
{
    using Antmicro.Renode.Core;

    public class Monitor
    {
        public IMachine Machine { get; set; }
    }
}
