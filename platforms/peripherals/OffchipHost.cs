// SPDX-License-Identifier: Apache-2.0
//
// What the other models share: questions to the machine they sit in, and what serial memories have in common. Include it
// before them; including it again does nothing.
//
using System;
using System.IO;
using System.Text;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
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

    // A serial memory chip on its board: cells kept in a file, supply, write cycles. Twin of serial_memory.py.
    public abstract class SerialMemory : IGPIOReceiver
    {
        public abstract void Reset();
        public abstract void OnGPIO(int number, bool value);

        // Takes the content of the file and keeps it up to date from now on; an empty name does nothing.
        public void UseImage(string imageFile)
        {
            if(string.IsNullOrEmpty(imageFile))
            {
                return;
            }
            try
            {
                if(!File.Exists(imageFile))
                {
                    File.WriteAllBytes(imageFile, cells);
                }
                var content = File.ReadAllBytes(imageFile);
                if(content.Length != cells.Length)
                {
                    throw new RecoverableException("memory image " + imageFile + " has " + content.Length + " bytes, but must have " + cells.Length);
                }
                content.CopyTo(cells, 0);
            }
            catch(IOException e)
            {
                throw new RecoverableException("memory image " + imageFile + ": " + e.Message);
            }
            this.imageFile = imageFile;
        }

        // Supply lost and back: of what runs the first TornBytes bytes are stored (in ascending order) and the others hold the old
        // value, or FF when TornErased; registers and latch are lost.
        public void PowerCut()
        {
            var torn = Busy;
            busyUntil = TimeInterval.Empty;
            LoseRegisters();
            if(!torn)
            {
                return;
            }
            var done = 0;
            for(var i = 0; i < before.Length; i++)
            {
                if(Exposed(i))
                {
                    cells[start + i] = done++ < TornBytes ? intended[i] : TornErased ? (byte)0xFF : before[i];
                }
            }
            TornWrites++;
            Persist(start, before.Length);
            this.Log(LogLevel.Info, "power lost in a write at 0x{0:X}: {1} of {2} bytes stored", start, Math.Min(done, TornBytes), done);
        }

        // What follows is a programmer on the bench: no bus, no write cycle, no counters.
        public string ReadBytes(int offset, int count)
        {
            var text = new StringBuilder(count * 2);
            foreach(var each in ReadRaw(offset, count))
            {
                text.Append(each.ToString("X2"));
            }
            return text.ToString();
        }

        public byte[] ReadRaw(int offset, int count)
        {
            Check(offset, count);
            var result = new byte[count];
            Array.Copy(cells, offset, result, 0, count);
            return result;
        }

        public void WriteBytes(int offset, string hex)
        {
            var text = hex.Replace(" ", "").Replace("_", "");
            if(text.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            {
                text = text.Substring(2);
            }
            if(text.Length % 2 != 0)
            {
                throw new RecoverableException("an even number of hexadecimal digits is needed");
            }
            var bytes = new byte[text.Length / 2];
            for(var i = 0; i < bytes.Length; i++)
            {
                if(!byte.TryParse(text.Substring(2 * i, 2), System.Globalization.NumberStyles.HexNumber, null, out bytes[i]))
                {
                    throw new RecoverableException("not hexadecimal: " + hex);
                }
            }
            WriteRaw(offset, bytes);
        }

        public void WriteRaw(int offset, byte[] bytes)
        {
            Check(offset, bytes.Length);
            Array.Copy(bytes, 0, cells, offset, bytes.Length);
            Persist(offset, bytes.Length);
        }

        public void Fill(byte value)
        {
            Set(cells, value);
            Persist(0, cells.Length);
        }

        public bool Present { get; set; } = true;
        // False after a cut until somebody restores it; PowerCut() itself models a short interruption and leaves it alone.
        public bool Powered { get; set; } = true;
        public int WriteCycleUs { get; set; }
        public int TornBytes { get; set; }
        public bool TornErased { get; set; }
        // n > 0: power is lost at the very start of the n-th write from now, and stays lost (Powered = false).
        public int CutAtWriteCycle { get; set; }
        public bool Busy { get { return busyUntil != TimeInterval.Empty && OffchipHost.Now(machine) < busyUntil; } }
        public int WriteCycles { get; protected set; }
        public int TornWrites { get; private set; }
        public int Length { get { return cells.Length; } }

        protected SerialMemory(IMachine machine, int size, int pageSize, int writeCycleUs, string imageFile)
        {
            this.machine = machine;
            this.pageSize = pageSize;
            WriteCycleUs = writeCycleUs;
            latch = new byte[pageSize];
            latched = new bool[pageSize];
            before = intended = new byte[0];
            cells = new byte[size];
            Set(cells, 0xFF);
            UseImage(imageFile);
        }

        protected abstract void LoseRegisters();

        // Whether a cut can hit this byte of what runs.
        protected virtual bool Exposed(int index)
        {
            return true;
        }

        // A byte for the page: the next one goes to the place this answers, which wraps inside the page.
        protected int Latch(int place, byte value)
        {
            var column = place & (pageSize - 1);
            latch[column] = value;
            latched[column] = anyLatched = true;
            return (place & -pageSize) | ((column + 1) & (pageSize - 1));
        }

        protected void ForgetLatch()
        {
            if(anyLatched)
            {
                Array.Clear(latched, 0, pageSize);
                anyLatched = false;
            }
        }

        // Begins the internal operation that makes the cells from there on the wanted ones.
        protected void Run(int from, byte[] wanted, ulong microseconds)
        {
            start = from;
            before = ReadRaw(from, wanted.Length);
            intended = wanted;
            Array.Copy(wanted, 0, cells, from, wanted.Length);
            busyUntil = OffchipHost.Now(machine) + TimeInterval.FromMicroseconds(microseconds);
        }

        // The same of cells that somebody may cut.
        protected void Change(int from, byte[] wanted, ulong microseconds)
        {
            Run(from, wanted, microseconds);
            if(CutAtWriteCycle > 0 && --CutAtWriteCycle == 0)
            {
                if(!Busy)
                {
                    busyUntil = TimeInterval.Maximal;   // cycles of no length can be cut too
                }
                PowerCut();
                Powered = false;
                return;
            }
            Persist(from, wanted.Length);
        }

        protected static void Set(byte[] bytes, byte value)
        {
            for(var i = 0; i < bytes.Length; i++)
            {
                bytes[i] = value;
            }
        }

        protected readonly IMachine machine;
        protected readonly int pageSize;
        protected readonly byte[] cells, latch;
        protected readonly bool[] latched;
        protected bool anyLatched;

        private void Persist(int offset, int count)
        {
            if(string.IsNullOrEmpty(imageFile))
            {
                return;
            }
            try
            {
                using(var file = new FileStream(imageFile, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite))
                {
                    file.Seek(offset, SeekOrigin.Begin);
                    file.Write(cells, offset, count);
                }
            }
            catch(Exception e)
            {
                this.Log(LogLevel.Error, "cannot write the image file: {0}", e.Message);
            }
        }

        private void Check(int offset, int count)
        {
            if(offset < 0 || count < 0 || offset > cells.Length - count)
            {
                throw new RecoverableException("outside the memory");
            }
        }

        private string imageFile;
        private int start;
        private byte[] before, intended;
        private TimeInterval busyUntil = TimeInterval.Empty;
    }
}
