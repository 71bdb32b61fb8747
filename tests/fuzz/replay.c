/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on files, for compilers without libFuzzer: replay FILE... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        uint8_t *data = malloc(1 << 16);
        size_t size = file ? fread(data, 1, 1 << 16, file) : 0;
        if (!file || fclose(file))
            return 2;
        uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
        for (size_t n = 0; n < size; n++)
            exact[n] = data[n];
        free(data);
        printf("%s\n", argv[i]);
        fflush(stdout);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    return 0;
}
