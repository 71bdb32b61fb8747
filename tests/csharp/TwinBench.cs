// SPDX-License-Identifier: Apache-2.0
//
// The models on a board without a core, driven from standard input so that a test can compare them with their Python
// twins. One answer line per command: the value, '|', the levels of the interrupt lines; a refusal answers '!'.
//
//     new HIGHCAPACITY              a fresh board at time 0, with a pattern in its flash
//     time NS                       virtual time passes
//     read NAME BYTES OFFSET        bus access, narrow ones translated as Renode's bus does
//     write NAME BYTES OFFSET VALUE
//     pin NAME NUMBER LEVEL
//     send HEX                      bytes through the SPI tap; answers MISO
//     bus HEX                       bytes through the SPI with two memories; answers MISO
//     get NAME PROPERTY    put NAME PROPERTY VALUE    call NAME METHOD ARGUMENT...
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.CPU;
using Antmicro.Renode.Peripherals.Memory;
using Antmicro.Renode.Peripherals.Offchip;
using Antmicro.Renode.Time;

public class TwinBench : IMachine, IBusController
{
    public static void Main()
    {
        var output = new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true };
        output.WriteLine("twins");
        var bench = new TwinBench(false);
        string line;
        while((line = Console.ReadLine()) != null)
        {
            var word = line.Split(' ');
            if(word[0] == "new")
            {
                bench = new TwinBench(word[1] == "1");
            }
            output.WriteLine(bench.Answer(word) + "|" + bench.Lines() + Logger.Error);
        }
    }

    public TwinBench(bool highCapacity)
    {
        var code0 = new MappedMemory(this, 0x4000);
        var code1 = new MappedMemory(this, 0xF0000);
        var nvm = new NvmSectors(this);
        code0.WriteBytes(0, pattern16);
        nvm.WriteBytes(0, pattern48, 0, pattern48.Length);
        code1.WriteBytes(0, pattern960);
        flash = new Stm32F4Flash(this, code0, nvm, code1);
        rng = new Stm32F4Rng(this);
        spi = new Stm32F4Spi(this);
        tap = new SpiTap(this);
        var card = new SdCardSpi(this, 0x100000, highCapacity: highCapacity);
        tap.Register(card, NullRegistrationPoint.Instance);
        spi.Register(tap, NullRegistrationPoint.Instance);
        i2c = new Stm32F4I2c(this);
        var eeprom = new Eeprom24xx256(this);
        i2c.Register(eeprom, new NumberRegistrationPoint<int>(0x50));
        var i2ctap = new I2cTap(this);
        i2c.Register(i2ctap, NullRegistrationPoint.Instance);
        bus = new SpiBus(this);
        var memory = new SpiMemory25(this, writeCycleUs: 5000);
        var nor = new SpiMemory25(this, 0x20000, 256, true, 700);
        bus.Register(memory, new NumberRegistrationPoint<int>(1));
        bus.Register(nor, new NumberRegistrationPoint<int>(2));
        models = new Dictionary<string, IPeripheral>
        {
            { "memory", memory }, { "nor", nor },
            { "code0", code0 }, { "code1", code1 }, { "nvm", nvm }, { "flash", flash }, { "rng", rng }, { "spi", spi },
            { "tap", tap }, { "card", card }, { "i2c", i2c }, { "eeprom", eeprom }, { "i2ctap", i2ctap },
        };
    }

    private string Answer(string[] word)
    {
        try
        {
            switch(word[0])
            {
            case "new": return "";  // by now
            case "time": clock.Queue.AdvanceTo(clock.Queue.Now + ulong.Parse(word[1])); return "";
            case "read": return Read(models[word[1]], int.Parse(word[2]), long.Parse(word[3])).ToString("X");
            case "write": Write(models[word[1]], int.Parse(word[2]), long.Parse(word[3]), uint.Parse(word[4])); return "";
            case "pin": ((IGPIOReceiver)models[word[1]]).OnGPIO(int.Parse(word[2]), word[3] == "1"); return "";
            case "send": return Text(Bytes(word[1]).Select(b => tap.Transmit(b)).ToArray());
            case "bus": return Text(Bytes(word[1]).Select(b => bus.Transmit(b)).ToArray());
            case "get": return Text(Property(word).GetValue(models[word[1]], null));
            case "put": Property(word).SetValue(models[word[1]], Value(word[3], Property(word).PropertyType), null); return "";
            case "call": return Call(models[word[1]], word[2], word.Skip(3).ToArray());
            }
            throw new ArgumentException(string.Join(" ", word));
        }
        catch(RecoverableException)
        {
            return "!";
        }
        catch(TargetInvocationException e)
        {
            if(e.InnerException is RecoverableException)
            {
                return "!";
            }
            throw;
        }
    }

    private string Lines()
    {
        var lines = new[] { flash.IRQ, rng.IRQ, spi.IRQ, i2c.EventInterrupt, i2c.ErrorInterrupt };
        return string.Concat(lines.Select(line => line.IsSet ? "1" : "0"));
    }

    private PropertyInfo Property(string[] word)
    {
        var property = models[word[1]].GetType().GetProperty(word[2]);
        if(property == null)
        {
            throw new ArgumentException(string.Join(" ", word));
        }
        return property;
    }

    private static string Call(object model, string name, string[] words)
    {
        foreach(var method in model.GetType().GetMethods().Where(m => m.Name == name))
        {
            var parameters = method.GetParameters();
            if(parameters.Length < words.Length || parameters.Skip(words.Length).Any(p => !p.IsOptional))
            {
                continue;
            }
            var arguments = parameters.Select((p, i) => i < words.Length ? Value(words[i], p.ParameterType) : p.DefaultValue);
            return Text(method.Invoke(model, arguments.ToArray()));
        }
        throw new ArgumentException(name);
    }

    private static object Value(string text, Type type)
    {
        return type == typeof(byte[]) ? Bytes(text)
            : type == typeof(bool) ? (object)(text == "1" || text == "True")
            : Convert.ChangeType(text, type);
    }

    private static string Text(object value)
    {
        var bytes = value as byte[];
        if(bytes == null)
        {
            return value is bool ? ((bool)value ? "1" : "0") : Convert.ToString(value).Replace("\n", "/");
        }
        if(bytes.Length > 2048)
        {
            bytes = SHA256.Create().ComputeHash(bytes);
        }
        return BitConverter.ToString(bytes).Replace("-", "");
    }

    private static byte[] Bytes(string hex)
    {
        return Enumerable.Range(0, hex.Length / 2).Select(i => Convert.ToByte(hex.Substring(2 * i, 2), 16)).ToArray();
    }

    private static byte[] Pattern(int length)
    {
        var bytes = new byte[length];
        for(var i = 0; i < length; i++)
        {
            bytes[i] = (byte)(i * 7 | 0x81);
        }
        return bytes;
    }

    // ---- the bus ----

    private static uint Read(IPeripheral model, int bytes, long offset)
    {
        if(bytes == 1 && model is IBytePeripheral)
        {
            return ((IBytePeripheral)model).ReadByte(offset);
        }
        if(bytes == 2 && model is IWordPeripheral)
        {
            return ((IWordPeripheral)model).ReadWord(offset);
        }
        var value = ((IDoubleWordPeripheral)model).ReadDoubleWord(offset & ~3);
        return bytes == 4 ? value : (value >> (int)(8 * (offset & 3))) & Mask(bytes);
    }

    private static void Write(IPeripheral model, int bytes, long offset, uint value)
    {
        if(bytes == 1 && model is IBytePeripheral)
        {
            ((IBytePeripheral)model).WriteByte(offset, (byte)value);
        }
        else if(bytes == 2 && model is IWordPeripheral)
        {
            ((IWordPeripheral)model).WriteWord(offset, (ushort)value);
        }
        else if(bytes == 4)
        {
            ((IDoubleWordPeripheral)model).WriteDoubleWord(offset, value);
        }
        else
        {
            var words = (IDoubleWordPeripheral)model;
            var shift = (int)(8 * (offset & 3));
            var old = words.ReadDoubleWord(offset & ~3) & ~(Mask(bytes) << shift);
            words.WriteDoubleWord(offset & ~3, old | (value & Mask(bytes)) << shift);
        }
    }

    private static readonly byte[] pattern16 = Pattern(0x4000), pattern48 = Pattern(0xC000), pattern960 = Pattern(0xF0000);

    private static uint Mask(int bytes) { return (1u << (8 * bytes)) - 1; }

    private readonly BaseClockSource clock = new BaseClockSource();
    private readonly Dictionary<ulong, byte> memory = new Dictionary<ulong, byte>();
    private readonly Dictionary<string, IPeripheral> models;
    private readonly Stm32F4Flash flash;
    private readonly Stm32F4Rng rng;
    private readonly Stm32F4Spi spi;
    private readonly SpiTap tap;
    private readonly SpiBus bus;
    private readonly Stm32F4I2c i2c;

    // ---- IMachine ----

    public void RegisterAsAChildOf(IPeripheral parent, IPeripheral child, IRegistrationPoint point) { }
    public void UnregisterAsAChildOf(IPeripheral parent, IPeripheral child) { }
    public void PauseAndRequestEmulationPause(bool precise = false) { }
    public void Start() { }
    public bool IsPaused { get { return false; } }
    public bool InternalPause { get { return false; } }
    public event Action<IMachine> MachineReset { add { } remove { } }

    public void ScheduleAction(TimeInterval delay, Action<TimeInterval> action, string name = null)
    {
        clock.Queue.At(clock.Queue.Now + delay.Ticks, () => action(TimeInterval.FromTicks(clock.Queue.Now)));
    }

    public IBusController SystemBus { get { return this; } }
    public IClockSource ClockSource { get { return clock; } }
    public TimeStamp ElapsedVirtualTime { get { return new TimeStamp(TimeInterval.FromTicks(clock.Queue.Now), null); } }
#if RENODE_MASTER
    public int UniqueObjectId { get { return 1; } }
    public bool IsHalted { get; set; }
#endif

    // ---- IBusController ----

    public void Reset() { }
    public IEnumerable<ICPU> GetCPUs() { return new ICPU[0]; }

#if RENODE_MASTER
    public byte[] ReadBytes(ulong address, int count, bool onlyMemory = false, IPeripheral context = null, ulong? cpuState = null)
#else
    public byte[] ReadBytes(ulong address, int count, bool onlyMemory = false, IPeripheral context = null)
#endif
    {
        return Enumerable.Range(0, count).Select(i => memory.ContainsKey(address + (ulong)i) ? memory[address + (ulong)i] : (byte)0xFF).ToArray();
    }

#if RENODE_MASTER
    public void WriteBytes(byte[] bytes, ulong address, bool onlyMemory = false, IPeripheral context = null, ulong? cpuState = null)
#else
    public void WriteBytes(byte[] bytes, ulong address, bool onlyMemory = false, IPeripheral context = null)
#endif
    {
        for(var i = 0; i < bytes.Length; i++)
        {
            memory[address + (ulong)i] = bytes[i];
        }
    }

    public bool TryGetCurrentCPU(out ICPU cpu)
    {
        cpu = null;
        return false;
    }
}
