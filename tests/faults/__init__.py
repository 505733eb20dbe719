"""What happens to a server, and to its data, when things break: crashes, damaged files, full disks, unkind clients."""
