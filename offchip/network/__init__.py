"""The virtual internet: names, byte streams, bridges to real TCP, laboratory time and the ESP-AT modem."""
