// SPDX-License-Identifier: Apache-2.0
// Several devices on the wires of one SPI, each with a chip select of its own. Own work; see SPI-MEMORY.md.
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Peripherals;
using Antmicro.Renode.Peripherals.SPI;

namespace Antmicro.Renode.Peripherals.Offchip
{
    // Who is not selected leaves MISO alone; two that are selected at once pull it low together.
    public class SpiBus : SimpleContainer<ISPIPeripheral>, ISPIPeripheral
    {
        public SpiBus(IMachine machine) : base(machine)
        {
        }

        public override void Reset()
        {
        }

        public byte Transmit(byte data)
        {
            var miso = 0xFF;
            foreach(var device in ChildCollection.Values)
            {
                miso &= device.Transmit(data);
            }
            return (byte)miso;
        }

        public void FinishTransmission()
        {
            foreach(var device in ChildCollection.Values)
            {
                device.FinishTransmission();
            }
        }
    }
}
