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

    public struct TimeStamp
    {
        public TimeInterval TimeElapsed { get; set; }
    }

    public interface IClockSource
    {
    }

    public enum Direction { Ascending, Descending }

    public enum WorkMode { Periodic, OneShot }
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

    public class Emulation : IDisposable
    {
        public Emulation() { ExternalsManager = new ExternalsManager(); }

        public void Dispose() { ExternalsManager.Clear(); }
        public void AddMachine(IMachine machine, string name) { machines.Add(name, machine); }
        public bool TryGetMachine(string name, out IMachine machine) { return machines.TryGetValue(name, out machine); }
        public void RemoveMachine(string name) { machines.Remove(name); }
        public void PauseAll() { Pauses++; }

        public int Pauses { get; private set; }  // of the bench

        private readonly Dictionary<string, IMachine> machines = new Dictionary<string, IMachine>();

        public ExternalsManager ExternalsManager { get; private set; }
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

    public interface IMachine : IEmulationElement
    {
        void RegisterAsAChildOf(IPeripheral peripheralParent, IPeripheral peripheralChild, IRegistrationPoint registrationPoint);
        void UnregisterAsAChildOf(IPeripheral peripheralParent, IPeripheral peripheralChild);
        void ScheduleAction(TimeInterval delay, Action<TimeInterval> action, string name = null);
        void PauseAndRequestEmulationPause(bool precise = false);

        IBusController SystemBus { get; }
        IClockSource ClockSource { get; }
        TimeStamp ElapsedVirtualTime { get; }
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
            if(type == LogLevel.Warning || type == LogLevel.Error)
            {
                Console.Error.WriteLine(e.GetType().Name + ": " + message, args);
            }
        }
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
        byte[] ReadBytes(ulong address, int count, bool onlyMemory = false, IPeripheral context = null);
        void WriteBytes(byte[] bytes, ulong address, bool onlyMemory = false, IPeripheral context = null);
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
    public class MappedMemory : IPeripheral
    {
        public void Reset() { }
        public void WriteBytes(long offset, byte[] value) { throw new NotImplementedException(); }
    }
}

namespace Antmicro.Renode.Peripherals.Timers
{
    using Antmicro.Renode.Time;

    public class LimitTimer : IPeripheral
    {
        public LimitTimer(IClockSource clockSource, ulong frequency, IPeripheral owner, string localName, ulong limit = ulong.MaxValue,
            Direction direction = Direction.Descending, bool enabled = false, WorkMode workMode = WorkMode.Periodic,
            bool eventEnabled = false, bool autoUpdate = false, ulong divider = 1)
        {
            Limit = limit;
        }

        public void Reset() { }

        public bool Enabled { get; set; }
        public ulong Limit { get; set; }
        public ulong Value { get; set; }

        public event Action LimitReached { add { } remove { } }
    }
}
