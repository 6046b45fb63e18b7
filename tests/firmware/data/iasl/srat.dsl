/*
 * Intel ACPI Component Architecture
 * AML/ASL+ Disassembler version 20200925 (64-bit version)
 * Copyright (c) 2000 - 2020 Intel Corporation
 * 
 * Disassembly of srat.dat, Mon Nov 23 05:09:25 2026
 *
 * ACPI Data Table [SRAT]
 *
 * Format: [HexOffset DecimalOffset ByteLength]  FieldName : FieldValue
 */

[000h 0000   4]                    Signature : "SRAT"    [System Resource Affinity Table]
[004h 0004   4]                 Table Length : 0000013A
[008h 0008   1]                     Revision : 03
[009h 0009   1]                     Checksum : B8
[00Ah 0010   6]                       Oem ID : "EXAMPL"
[010h 0016   8]                 Oem Table ID : "FOURNODE"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "INTL"
[020h 0032   4]        Asl Compiler Revision : 20200925

[024h 0036   4]               Table Revision : 00000001
[028h 0040   8]                     Reserved : 0000000000000000

[030h 0048   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[031h 0049   1]                       Length : 10

[032h 0050   1]      Proximity Domain Low(8) : 03
[033h 0051   1]                      Apic ID : 07
[034h 0052   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[038h 0056   1]              Local Sapic EID : 00
[039h 0057   3]    Proximity Domain High(24) : 000102
[03Ch 0060   4]                 Clock Domain : 00000000

[040h 0064   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[041h 0065   1]                       Length : 10

[042h 0066   1]      Proximity Domain Low(8) : 01
[043h 0067   1]                      Apic ID : 02
[044h 0068   4]        Flags (decoded below) : 00000000
                                     Enabled : 0
[048h 0072   1]              Local Sapic EID : 00
[049h 0073   3]    Proximity Domain High(24) : 000000
[04Ch 0076   4]                 Clock Domain : 00000000

[050h 0080   1]                Subtable Type : 02 [Processor Local x2APIC Affinity]
[051h 0081   1]                       Length : 18

[052h 0082   2]                    Reserved1 : 0000
[054h 0084   4]             Proximity Domain : 00000001
[058h 0088   4]                      Apic ID : 00000123
[05Ch 0092   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[060h 0096   4]                 Clock Domain : 00000000
[064h 0100   4]                    Reserved2 : 00000000

[068h 0104   1]                Subtable Type : 01 [Memory Affinity]
[069h 0105   1]                       Length : 28

[06Ah 0106   4]             Proximity Domain : 00010203
[06Eh 0110   2]                    Reserved1 : 0000
[070h 0112   8]                 Base Address : 0000000000000000
[078h 0120   8]               Address Length : 00000000C0000000
[080h 0128   4]                    Reserved2 : 00000000
[084h 0132   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[088h 0136   8]                    Reserved3 : 0000000000000000

[090h 0144   1]                Subtable Type : 01 [Memory Affinity]
[091h 0145   1]                       Length : 28

[092h 0146   4]             Proximity Domain : 00000001
[096h 0150   2]                    Reserved1 : 0000
[098h 0152   8]                 Base Address : 0000000100000000
[0A0h 0160   8]               Address Length : 0000000140000000
[0A8h 0168   4]                    Reserved2 : 00000000
[0ACh 0172   4]        Flags (decoded below) : 00000003
                                     Enabled : 1
                               Hot Pluggable : 1
                                Non-Volatile : 0
[0B0h 0176   8]                    Reserved3 : 0000000000000000

[0B8h 0184   1]                Subtable Type : 01 [Memory Affinity]
[0B9h 0185   1]                       Length : 28

[0BAh 0186   4]             Proximity Domain : 00000004
[0BEh 0190   2]                    Reserved1 : 0000
[0C0h 0192   8]                 Base Address : 0000000240000000
[0C8h 0200   8]               Address Length : 0000000040000000
[0D0h 0208   4]                    Reserved2 : 00000000
[0D4h 0212   4]        Flags (decoded below) : 00000005
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 1
[0D8h 0216   8]                    Reserved3 : 0000000000000000

[0E0h 0224   1]                Subtable Type : 01 [Memory Affinity]
[0E1h 0225   1]                       Length : 28

[0E2h 0226   4]             Proximity Domain : 00000000
[0E6h 0230   2]                    Reserved1 : 0000
[0E8h 0232   8]                 Base Address : 0000000000000000
[0F0h 0240   8]               Address Length : 0000000000000000
[0F8h 0248   4]                    Reserved2 : 00000000
[0FCh 0252   4]        Flags (decoded below) : 00000000
                                     Enabled : 0
                               Hot Pluggable : 0
                                Non-Volatile : 0
[100h 0256   8]                    Reserved3 : 0000000000000000

[108h 0264   1]                Subtable Type : 03 [GICC Affinity]
[109h 0265   1]                       Length : 12

[10Ah 0266   4]             Proximity Domain : 00000000
[10Eh 0270   4]           Acpi Processor UID : 00000000
[112h 0274   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[116h 0278   4]                 Clock Domain : 00000000

[11Ah 0282   1]                Subtable Type : 05 [Generic Initiator Affinity]
[11Bh 0283   1]                       Length : 20

[11Ch 0284   1]                    Reserved1 : 00
[11Dh 0285   1]           Device Handle Type : 01
[11Eh 0286   4]             Proximity Domain : 00000006
[122h 0290  16]                Device Handle : 00 00 00 10 00 00 00 00 00 00 00 00 00 00 00 00
[132h 0306   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[136h 0310   4]                    Reserved2 : 00000000

Raw Table Data: Length 314 (0x13A)

    0000: 53 52 41 54 3A 01 00 00 03 B8 45 58 41 4D 50 4C  // SRAT:.....EXAMPL
    0010: 46 4F 55 52 4E 4F 44 45 01 00 00 00 49 4E 54 4C  // FOURNODE....INTL
    0020: 25 09 20 20 01 00 00 00 00 00 00 00 00 00 00 00  // %.  ............
    0030: 00 10 03 07 01 00 00 00 00 02 01 00 00 00 00 00  // ................
    0040: 00 10 01 02 00 00 00 00 00 00 00 00 00 00 00 00  // ................
    0050: 02 18 00 00 01 00 00 00 23 01 00 00 01 00 00 00  // ........#.......
    0060: 00 00 00 00 00 00 00 00 01 28 03 02 01 00 00 00  // .........(......
    0070: 00 00 00 00 00 00 00 00 00 00 00 C0 00 00 00 00  // ................
    0080: 00 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00  // ................
    0090: 01 28 01 00 00 00 00 00 00 00 00 00 01 00 00 00  // .(..............
    00A0: 00 00 00 40 01 00 00 00 00 00 00 00 03 00 00 00  // ...@............
    00B0: 00 00 00 00 00 00 00 00 01 28 04 00 00 00 00 00  // .........(......
    00C0: 00 00 00 40 02 00 00 00 00 00 00 40 00 00 00 00  // ...@.......@....
    00D0: 00 00 00 00 05 00 00 00 00 00 00 00 00 00 00 00  // ................
    00E0: 01 28 00 00 00 00 00 00 00 00 00 00 00 00 00 00  // .(..............
    00F0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  // ................
    0100: 00 00 00 00 00 00 00 00 03 12 00 00 00 00 00 00  // ................
    0110: 00 00 01 00 00 00 00 00 00 00 05 20 00 01 06 00  // ........... ....
    0120: 00 00 00 00 00 10 00 00 00 00 00 00 00 00 00 00  // ................
    0130: 00 00 01 00 00 00 00 00 00 00                    // ..........
