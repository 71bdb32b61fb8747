// SPDX-License-Identifier: Apache-2.0
// Serial memory of the 25 series: EEPROM (25LC256 class) or NOR flash (W25Q class). Own work; see SPI-MEMORY.md.
using System;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals;
using Antmicro.Renode.Peripherals.CPU;
using Antmicro.Renode.Peripherals.SPI;

namespace Antmicro.Renode.Peripherals.Offchip
{
    public class SpiMemory25 : SerialMemory, ISPIPeripheral, IGPIOReceiver
    {
        public SpiMemory25(IMachine machine, int size = 32768, int pageSize = 64, bool nor = false, int writeCycleUs = 5000,
            int eraseUs = 45000, int jedecId = 0xEF4017, ulong uniqueId = 0x4F66664368697001, string imageFile = null)
            : base(machine, Checked(size, pageSize, nor, writeCycleUs, eraseUs), pageSize, writeCycleUs, imageFile)
        {
            this.nor = nor;
            EraseUs = eraseUs;
            addressWidth = nor || size > 0x10000 ? 3 : size <= 512 ? 1 : 2;
            jedec = new[] { (byte)(jedecId >> 16), (byte)(jedecId >> 8), (byte)jedecId };
            identity = new[] { jedec[0], (byte)(jedec[2] - 1) };
            unique = new byte[8];
            for(var i = 0; i < 8; i++)
            {
                unique[i] = (byte)(uniqueId >> (56 - 8 * i));
            }
            Begin();
        }

        // A reset of the microcontroller does not reach the memory; its pins float, and chip select with them.
        public override void Reset()
        {
            selected = selectSeenHigh = false;
            Begin();
        }

        // Input 0: chip select, input 1: WP; both active low.
        public override void OnGPIO(int number, bool value)
        {
            if(number == 1)
            {
                writeProtected = !value;
            }
            if(number != 0)
            {
                return;
            }
            if(value)
            {
                selectSeenHigh = true;
                if(selected)
                {
                    selected = false;
                    CarryOut();
                }
            }
            else if(selectSeenHigh && !selected)
            {
                selected = true;
                Begin();
            }
        }

        public byte Transmit(byte data)
        {
            try
            {
                var miso = Next();
                if(selected && Present && Powered)
                {
                    Take(data);
                    count++;
                }
                return miso;
            }
            catch(Exception e)
            {
                this.Log(LogLevel.Error, "SpiMemory25: {0}", e.Message);
                return 0xFF;
            }
        }

        // Chip select decides where an instruction ends, not the controller.
        public void FinishTransmission()
        {
        }

        public int EraseUs { get; set; }
        public int Erases { get; private set; }
        public int BusyIgnored { get; private set; }
        public int Denied { get; private set; }

        protected override void LoseRegisters()
        {
            writeEnabled = sleeping = resetEnabled = selected = false;
            Begin();
        }

        private byte Next()
        {
            if(!selected || !Present || !Powered || count == 0 || ignored)
            {
                return 0xFF;
            }
            switch(instruction)
            {
            case 0x05: return (byte)(status | (Busy ? 3 : writeEnabled ? 2 : 0));
            case 0x35: case 0x15: return 0;
            case 0x9F: return jedec[(count - 1) % 3];
            case 0x90: return count >= 4 ? identity[(count - 4) % 2] : (byte)0xFF;
            case 0xAB: return count >= 4 ? identity[1] : (byte)0xFF;
            case 0x4B: return count >= 5 ? unique[(count - 5) % 8] : (byte)0xFF;
            case 0x03: return count > addressWidth ? cells[pointer] : (byte)0xFF;
            case 0x0B: return count > addressWidth + 1 ? cells[pointer] : (byte)0xFF;
            }
            return 0xFF;
        }

        private void Take(byte value)
        {
            if(count == 0)
            {
                TakeInstruction(value);
                return;
            }
            if(ignored)
            {
                return;
            }
            var place = count - 1;
            if(instruction == 0x01)
            {
                if(!statusGiven)
                {
                    statusByte = value;
                    statusGiven = true;
                }
                return;
            }
            if(instruction != 0x03 && instruction != 0x0B && instruction != 0x02 && EraseLength() == 0)
            {
                return;
            }
            if(place < addressWidth)
            {
                pointer = ((pointer << 8) | value) & 0xFFFFFF;
                if(place == addressWidth - 1)
                {
                    pointer &= cells.Length - 1;
                }
            }
            else if(instruction == 0x02)
            {
                pointer = Latch(pointer, value);
            }
            else if(instruction == 0x03 || place > addressWidth)
            {
                pointer = (pointer + 1) & (cells.Length - 1);
            }
        }

        private void TakeInstruction(byte value)
        {
            if(addressWidth == 1 && ((value & 0xF7) == 0x03 || (value & 0xF7) == 0x02))
            {
                pointer = (value >> 3) & 1;
                value &= 0xF7;
            }
            instruction = value;
            if(Busy && value != 0x05 && value != 0x35 && value != 0x15)
            {
                BusyIgnored++;
                ignored = true;
            }
            else if((sleeping && value != 0xAB) || !Known(value))
            {
                ignored = true;
            }
        }

        private bool Known(byte value)
        {
            return (value >= 0x01 && value <= 0x06) || (nor && Array.IndexOf(norOnly, value) >= 0);
        }

        private int EraseLength()
        {
            return instruction == 0x20 ? 0x1000 : instruction == 0x52 ? 0x8000 : instruction == 0xD8 ? 0x10000 : 0;
        }

        private void CarryOut()
        {
            if(count > 0 && !ignored && Present && Powered)
            {
                var erasesChip = instruction == 0xC7 || instruction == 0x60;
                var needsEnabling = instruction == 0x01 || instruction == 0x02 || erasesChip || EraseLength() != 0;
                if(needsEnabling && !writeEnabled)
                {
                    Denied++;
                }
                else if(count == 1)
                {
                    Single(erasesChip);
                }
                else if(instruction == 0x01 && statusGiven)
                {
                    WriteStatus();
                }
                else if(instruction == 0x02 && anyLatched)
                {
                    WritePage();
                }
                else if(EraseLength() != 0 && count == 1 + addressWidth)
                {
                    Erase(pointer & -EraseLength(), EraseLength(), (ulong)EraseUs * (instruction == 0x20 ? 1ul : 3ul));
                }
            }
            if(instruction != 0x66)
            {
                resetEnabled = false;
            }
            Begin();
        }

        private void Single(bool erasesChip)
        {
            if(instruction == 0x06 || instruction == 0x04)
            {
                writeEnabled = instruction == 0x06;
            }
            else if(erasesChip)
            {
                Erase(0, cells.Length, (ulong)EraseUs * (ulong)(cells.Length >> 15));
            }
            else if(instruction == 0xB9 || instruction == 0xAB)
            {
                sleeping = instruction == 0xB9;
            }
            else if(instruction == 0x66)
            {
                resetEnabled = true;
            }
            else if(instruction == 0x99 && resetEnabled)
            {
                writeEnabled = false;
            }
        }

        private void WriteStatus()
        {
            writeEnabled = false;
            if((status & 0x80) != 0 && writeProtected)
            {
                Denied++;
                return;
            }
            status = statusByte & 0x8C;
            Run(0, new byte[0], (ulong)WriteCycleUs);   // no cell changes
        }

        private void WritePage()
        {
            var row = pointer & -pageSize;
            if(!Allowed(row, pageSize))
            {
                return;
            }
            var wanted = ReadRaw(row, pageSize);
            for(var i = 0; i < pageSize; i++)
            {
                if(latched[i])
                {
                    wanted[i] = nor ? (byte)(wanted[i] & latch[i]) : latch[i];
                }
            }
            WriteCycles++;
            Change(row, wanted, (ulong)WriteCycleUs);
        }

        private void Erase(int from, int length, ulong microseconds)
        {
            if(!Allowed(from, length))
            {
                return;
            }
            var wanted = new byte[length];
            Set(wanted, 0xFF);
            Erases++;
            Change(from, wanted, microseconds);
        }

        // BP1:BP0 protect nothing, the upper quarter, the upper half, all.
        private bool Allowed(int from, int length)
        {
            writeEnabled = false;
            var guarded = new[] { 0, cells.Length / 4, cells.Length / 2, cells.Length }[(status >> 2) & 3];
            if(from + length > cells.Length - guarded)
            {
                Denied++;
                return false;
            }
            return true;
        }

        private void Begin()
        {
            count = 0;
            instruction = 0;
            pointer = 0;
            ignored = statusGiven = false;
            ForgetLatch();
        }

        private static int Checked(int size, int pageSize, bool nor, int writeCycleUs, int eraseUs)
        {
            var powers = size > 0 && (size & (size - 1)) == 0 && pageSize > 0 && (pageSize & (pageSize - 1)) == 0;
            if(!powers || size < 128 || size > (1 << 24) || pageSize > Math.Min(size, 256) || (nor && size < 0x10000))
            {
                throw new ConstructionException("size (128 to 16777216, NOR from 65536) and pageSize (up to 256) must be powers of two");
            }
            if(writeCycleUs < 0 || eraseUs < 0)
            {
                throw new ConstructionException("writeCycleUs and eraseUs must be 0 or more");
            }
            return size;
        }

        private static readonly byte[] norOnly =
        {
            0x0B, 0x20, 0x52, 0xD8, 0xC7, 0x60, 0x35, 0x15, 0x9F, 0x90, 0x4B, 0xB9, 0xAB, 0x66, 0x99,
        };
        private readonly bool nor;
        private readonly int addressWidth;
        private readonly byte[] jedec, identity, unique;
        private bool selected, selectSeenHigh, writeProtected, ignored, statusGiven;
        private bool writeEnabled, sleeping, resetEnabled;
        private int count, pointer, status;
        private byte instruction, statusByte;
    }
}
