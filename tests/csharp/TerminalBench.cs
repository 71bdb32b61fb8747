// SPDX-License-Identifier: Apache-2.0
//
// A UART that counts up every byte it is given, behind an OffchipTerminal. First line out: the port. Then commands:
// "uart HEX" sends from the UART, "name" asks for a second terminal under the same name, "taken" for one on the same port,
// "require PATH" and "discard NAME" are what a session's script asks, "clear" ends the emulation.
using System;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals.Offchip;
using Antmicro.Renode.Peripherals.UART;

public class TerminalBench : IUART
{
    public static void Main()
    {
        var emulation = new Emulation();
        emulation.CreateOffchipTerminal(0, "console");
        OffchipTerminal terminal;
        emulation.ExternalsManager.TryGetByName("console", out terminal);
        var uart = new TerminalBench();
        terminal.AttachTo(uart);
        emulation.AddMachine(null, "offchip");
        Console.WriteLine(terminal.Port);

        string line;
        while((line = Console.ReadLine()) != null)
        {
            var word = line.Split(' ');
            var answer = "";
            try
            {
                switch(word[0])
                {
                case "uart":
                    for(var i = 0; i < word[1].Length; i += 2)
                    {
                        uart.CharReceived(Convert.ToByte(word[1].Substring(i, 2), 16));
                    }
                    break;
                case "name": emulation.CreateOffchipTerminal(0, "console"); break;
                case "taken": emulation.CreateOffchipTerminal(terminal.Port, "other"); break;
                case "require": emulation.RequireFile(word.ElementAtOrDefault(1), "type this"); break;
                case "discard":
                    emulation.DiscardMachine(word[1]);
                    answer = emulation.Pauses.ToString();
                    break;
                case "clear": emulation.Dispose(); break;
                default: throw new ArgumentException(line);
                }
            }
            catch(RecoverableException e)
            {
                answer = e.Message;
            }
            Console.WriteLine(answer);
        }
    }

    public void WriteChar(byte value) { CharReceived((byte)(value + 1)); }
    public void Reset() { }

    public event Action<byte> CharReceived;
}
