// SPDX-License-Identifier: Apache-2.0
//
// Where an SD card keeps its blocks: in memory, or in an image file. A block never written reads as zeros.
// Included before SdCardSpi.cs.
//
using System;
using System.Collections.Generic;
using System.IO;

using Antmicro.Renode.Exceptions;

namespace Antmicro.Renode.Peripherals.Offchip
{
    public interface ISdStorage
    {
        byte[] Load(long lba);
        void Store(long lba, byte[] block);
        void Wipe(long first, long last);
    }

    public sealed class SdRamStorage : ISdStorage
    {
        public byte[] Load(long lba)
        {
            byte[] kept;
            return blocks.TryGetValue(lba, out kept) ? (byte[])kept.Clone() : new byte[BlockSize];
        }

        public void Store(long lba, byte[] block)
        {
            blocks[lba] = (byte[])block.Clone();
        }

        public void Wipe(long first, long last)
        {
            foreach(var lba in new List<long>(blocks.Keys))
            {
                if(lba >= first && lba <= last)
                {
                    blocks.Remove(lba);
                }
            }
        }

        private readonly Dictionary<long, byte[]> blocks = new Dictionary<long, byte[]>();

        private const int BlockSize = 512;
    }

    // Every store is in the file when it returns. No handle stays open.
    public sealed class SdImageStorage : ISdStorage
    {
        // The file is made or extended, sparse, to exactly the capacity; a longer one is refused.
        public SdImageStorage(string image, long capacity)
        {
            path = Path.GetFullPath(image);
            try
            {
                using(var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite))
                {
                    if(file.Length > capacity)
                    {
                        throw new ConstructionException("SdCardSpi: image is longer than the capacity: " + path);
                    }
                    if(file.Length < capacity)
                    {
                        file.SetLength(capacity);
                    }
                }
            }
            catch(IOException e)
            {
                throw new ConstructionException("SdCardSpi: cannot use image " + path + ": " + e.Message);
            }
            catch(UnauthorizedAccessException e)
            {
                throw new ConstructionException("SdCardSpi: cannot use image " + path + ": " + e.Message);
            }
        }

        public byte[] Load(long lba)
        {
            var block = new byte[BlockSize];
            using(var file = Open(FileAccess.Read, lba))
            {
                var have = 0;
                int count;
                while(have < BlockSize && (count = file.Read(block, have, BlockSize - have)) > 0)
                {
                    have += count;
                }
            }
            return block;
        }

        public void Store(long lba, byte[] block)
        {
            using(var file = Open(FileAccess.Write, lba))
            {
                file.Write(block, 0, BlockSize);
            }
        }

        public void Wipe(long first, long last)
        {
            var zeros = new byte[64 * BlockSize];
            using(var file = Open(FileAccess.Write, first))
            {
                for(var left = (last - first + 1) * BlockSize; left > 0;)
                {
                    var count = (int)Math.Min(left, zeros.Length);
                    file.Write(zeros, 0, count);
                    left -= count;
                }
            }
        }

        private FileStream Open(FileAccess access, long lba)
        {
            return new FileStream(path, FileMode.Open, access, FileShare.ReadWrite, 1) { Position = lba * BlockSize };
        }

        private readonly string path;

        private const int BlockSize = 512;
    }
}
