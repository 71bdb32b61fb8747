// SPDX-License-Identifier: Apache-2.0
// Drives the C# taps from standard input, so that a test can compare them with their Python twins. One answer line per command.
using System;
using System.Collections.Generic;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Peripherals;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.CPU;
using Antmicro.Renode.Peripherals.Offchip;
using Antmicro.Renode.Time;

public class Bench : IMachine, IBusController
{
    public static void Main()
    {
        var machine = new Bench();
        var card = new SdCardSpi(machine, 0x100000);
        var spi = new SpiTap(machine);
        spi.Register(card, NullRegistrationPoint.Instance);
        var eeprom = new Eeprom24xx256(machine);
        var bus = new Stm32F4I2c(machine);
        bus.Register(eeprom, new NumberRegistrationPoint<int>(0x50));
        var i2c = new I2cTap(machine);
        bus.Register(i2c, NullRegistrationPoint.Instance);

        Console.WriteLine("taps");
        string line;
        while((line = Console.ReadLine()) != null)
        {
            var word = line.Split(' ');
            Func<int, int> number = i => int.Parse(word[i]);
            var answer = "";
            switch(word[0])
            {
            case "cs": spi.OnGPIO(0, word[1] == "1"); break;
            case "send": answer = Hex(Bytes(word[1]).Select(b => spi.Transmit(b)).ToArray()); break;
            case "record": spi.Record = word[1] == "1"; break;
            case "drain": answer = spi.Drain().Replace("\n", "|"); break;
            case "replace_on_read": spi.ReplaceOnRead(number(1), number(2), word[3], number(4), number(5), word[6] == "1"); break;
            case "replace_on_write": spi.ReplaceOnWrite(number(1), number(2), word[3], number(4), number(5), word[6] == "1"); break;
            case "redirect": spi.RedirectRead(number(1), number(2)); break;
            case "stuck": spi.StuckMiso = number(1); break;
            case "cut": spi.CutAtBlockWrite(number(1), number(2)); break;
            case "torn": card.TornBytes = number(1); break;
            case "power_on": card.PowerOn(); break;
            case "write": card.WriteRaw(number(1), Bytes(word[2])); break;
            case "read": answer = Hex(card.ReadRaw(number(1), number(2))); break;
            case "forget": spi.Forget(); break;
            case "fired": answer = spi.Fired.Replace("\n", "|"); break;
            case "i2c_replace": i2c.Replace(number(1), number(2), word[3] == "1"); break;
            case "i2c_drop": i2c.DropAddress = number(1); break;
            case "i2c_cut": i2c.CutAfter(number(1)); break;
            case "i2c_forget": i2c.Forget(); break;
            case "i2c_fired": answer = i2c.Fired.Replace("\n", "|"); break;
            case "i2c_drain": answer = i2c.Drain().Replace("\n", "|"); break;
            case "i2c_filter": answer = i2c.Filter(word[1][0], number(2), number(3), number(4)).ToString(); break;
            case "i2c_event": i2c.Event(word[1][0], number(2), number(3), word[4] == "1"); break;
            case "eeprom_powered": answer = eeprom.Powered ? "1" : "0"; break;
            default: throw new ArgumentException(line);
            }
            Console.WriteLine(answer);
        }
    }

    public void RegisterAsAChildOf(IPeripheral parent, IPeripheral child, IRegistrationPoint point) { }
    public void UnregisterAsAChildOf(IPeripheral parent, IPeripheral child) { }
    public void ScheduleAction(TimeInterval delay, Action<TimeInterval> action, string name = null) { }
    public void PauseAndRequestEmulationPause(bool precise = false) { }
    public IBusController SystemBus { get { return this; } }
    public IClockSource ClockSource { get { return null; } }
    public TimeStamp ElapsedVirtualTime { get { return new TimeStamp(); } }

    public void Reset() { }
    public IEnumerable<ICPU> GetCPUs() { return new ICPU[0]; }
    public byte[] ReadBytes(ulong address, int count, bool onlyMemory = false, IPeripheral context = null) { return new byte[count]; }
    public void WriteBytes(byte[] bytes, ulong address, bool onlyMemory = false, IPeripheral context = null) { }

    public bool TryGetCurrentCPU(out ICPU cpu)
    {
        cpu = null;
        return false;
    }

    private static string Hex(byte[] bytes) { return BitConverter.ToString(bytes).Replace("-", ""); }

    private static byte[] Bytes(string hex)
    {
        return Enumerable.Range(0, hex.Length / 2).Select(i => Convert.ToByte(hex.Substring(2 * i, 2), 16)).ToArray();
    }
}
