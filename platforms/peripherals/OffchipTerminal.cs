// SPDX-License-Identifier: Apache-2.0
//
// The far end of a UART as a TCP port of this computer only. Renode's own socket terminal listens on every interface,
// and whoever reaches the console or the modem line of a board that holds keys has half an attack done.
//
//     include @platforms/peripherals/OffchipTerminal.cs      (offchip-board.repl has done so)
//     emulation CreateOffchipTerminal 4401 "console"
//     connector Connect sysbus.usart1 console
//
// Raw bytes, no telnet. One client at a time; the next one may come when it has gone. What the UART sends while nobody is
// there waits for the next client (the oldest is dropped beyond 64 KiB). It ends with the emulation ("Clear", "quit").
//
// Sockets are taken by reflection: Renode's compiler knows only the assemblies that happen to be loaded, and that of the
// sockets need not be.
//
using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Threading;

using Antmicro.Migrant;
using Antmicro.Renode.Backends.Terminals;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.UART;

namespace Antmicro.Renode.Peripherals.Offchip
{
    public static class OffchipTerminalExtensions
    {
        // port: 0 takes a free one, which the terminal's Port tells
        public static void CreateOffchipTerminal(this Emulation emulation, int port, string name)
        {
            if(port < 0 || port > 65535)
            {
                throw new RecoverableException("Port must be between 0 and 65535");
            }
            var terminal = new OffchipTerminal(port);
            try
            {
                emulation.ExternalsManager.AddExternal(terminal, name);
            }
            catch(RecoverableException)  // the name is taken
            {
                terminal.Dispose();
                throw;
            }
        }
    }

    [Transient]
    public class OffchipTerminal : BackendTerminal, IDisposable
    {
        public OffchipTerminal(int port)
        {
            listener = new LoopbackListener(port);
            Port = listener.Port;
            new Thread(Listen) { IsBackground = true, Name = "OffchipTerminal" }.Start();
        }

        public override void AttachTo(IUART uart)
        {
            base.AttachTo(uart);
            Uart = uart;
        }

        public override void WriteChar(byte value)
        {
            lock(pending)
            {
                if(pending.Count == PendingLimit)
                {
                    pending.Dequeue();
                }
                pending.Enqueue(value);
                Monitor.PulseAll(pending);
            }
        }

        public void Dispose()
        {
            lock(pending)
            {
                if(stopped)
                {
                    return;
                }
                stopped = true;
                if(client != null)
                {
                    client.Dispose();
                }
                Monitor.PulseAll(pending);
            }
            listener.Dispose();
        }

        public int Port { get; private set; }

        // the one it was connected to, else null
        public IUART Uart { get; private set; }

        private void Listen()
        {
            while(!stopped)
            {
                Stream stream;
                try
                {
                    stream = listener.Accept();
                }
                catch(Exception e)
                {
                    if(!stopped)
                    {
                        this.Log(LogLevel.Error, "Port {0} is closed: {1}", Port, e.Message);
                    }
                    return;
                }
                lock(pending)
                {
                    client = stream;
                    if(stopped)
                    {
                        stream.Dispose();
                    }
                }
                var writer = new Thread(() => Send(stream)) { IsBackground = true, Name = "OffchipTerminal writer" };
                writer.Start();
                Receive(stream);
                lock(pending)
                {
                    client = null;
                    stream.Dispose();
                    Monitor.PulseAll(pending);
                }
                writer.Join();
            }
        }

        private void Receive(Stream stream)
        {
            var buffer = new byte[4096];
            try
            {
                int count;
                while((count = stream.Read(buffer, 0, buffer.Length)) > 0)
                {
                    for(var i = 0; i < count; i++)
                    {
                        CallCharReceived(buffer[i]);
                    }
                }
            }
            catch(IOException)  // the client broke off
            {
            }
            catch(ObjectDisposedException)  // we end
            {
            }
        }

        private void Send(Stream stream)
        {
            while(true)
            {
                byte[] bytes;
                lock(pending)
                {
                    while(client == stream && !stopped && pending.Count == 0)
                    {
                        Monitor.Wait(pending);
                    }
                    if(client != stream || stopped)
                    {
                        return;
                    }
                    bytes = pending.ToArray();
                    pending.Clear();
                }
                try
                {
                    stream.Write(bytes, 0, bytes.Length);
                }
                catch(IOException)
                {
                    return;
                }
                catch(ObjectDisposedException)
                {
                    return;
                }
            }
        }

        private volatile bool stopped;
        private Stream client;

        private const int PendingLimit = 0x10000;

        private readonly LoopbackListener listener;
        private readonly Queue<byte> pending = new Queue<byte>();
    }

    // A TcpListener on 127.0.0.1
    internal sealed class LoopbackListener : IDisposable
    {
        public LoopbackListener(int port)
        {
            var address = Find("IPAddress", "System.Net.Primitives").GetField("Loopback").GetValue(null);
            listener = Activator.CreateInstance(Find("Sockets.TcpListener", "System.Net.Sockets"), address, port);
            try
            {
                Call(listener, "Start", 1);
            }
            catch(TargetInvocationException e)
            {
                throw new RecoverableException(string.Format("Cannot listen on port {0}: {1}", port, e.InnerException.Message));
            }
            var endPoint = Get(listener, "LocalEndpoint");
            Port = (int)Get(endPoint, "Port");
        }

        // Waits for a client.
        public Stream Accept()
        {
            var client = Call(listener, "AcceptTcpClient");
            client.GetType().GetProperty("NoDelay").SetValue(client, true, null);
            return (Stream)Call(client, "GetStream");
        }

        public void Dispose()
        {
            Call(listener, "Stop");
        }

        public int Port { get; private set; }

        private static Type Find(string name, string assembly)
        {
            name = "System.Net." + name + ", ";
            return Type.GetType(name + assembly)  // .NET, else Mono
                ?? Type.GetType(name + "System, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089", true);
        }

        private static object Get(object target, string property)
        {
            return target.GetType().GetProperty(property).GetValue(target, null);
        }

        private static object Call(object target, string method, params object[] arguments)
        {
            return target.GetType().GetMethod(method, Type.GetTypeArray(arguments)).Invoke(target, arguments);
        }

        private readonly object listener;
    }
}
