"""What tools/cuda_check.py reads from a compiler and a disassembler, without either."""

import dataclasses

import cuda_check
import kernel_budget
import pytest
from roofline import GPU
from sass import Instruction, Trip, elements, read_listing


def listing(*lines: str, name: str = "kernel") -> str:
    """As nvdisasm writes it: labels, and instructions with their addresses."""
    text = [f'\t.section\t.text.{name},"ax",@progbits', f"{name}:", f".text.{name}:"]
    for at, line in enumerate(lines):
        text.append(line if line.endswith(":") else f"        /*{16 * at:04x}*/    {line} ;")
    return "\n".join(text)


LOOP = listing(
    "S2R R0, SR_TID.X",
    ".L_x_1:",
    "LDG.E.128 R4, desc[UR4][R2.64]",
    "FSETP.GE.AND P0, PT, R4, R5, PT",
    "@P0 BRA `(.L_x_3)",
    ".L_x_2:",
    "IMAD.IADD R6, R4, 0x1, R5",
    "@!P1 VIADD R7, R6, 0x1",
    "STG.E.128 desc[UR4][R8.64], R4",
    "@P2 BRA `(.L_x_1)",
    "EXIT",
    ".L_x_3:",
    "ATOMS.ADD R9, [R8], R7",
    "MUFU.RCP R9, R9",
    "BRA `(.L_x_2)",
    ".L_x_4:",
    "BRA `(.L_x_4)",
)


def main_trip(text):
    (trip,) = read_listing(text).values()
    return trip


def test_a_trip_leaves_out_what_is_rare():
    trip = main_trip(LOOP)
    assert [i.opcode for i in trip.instructions] == [
        "LDG.E.128",
        "FSETP.GE.AND",
        "BRA",
        "IMAD.IADD",
        "VIADD",
        "STG.E.128",
        "BRA",
    ]
    assert (trip.stored, trip.loaded, trip.widest, trip.loads) == (16, 16, 16, 1)
    assert dict(trip.pipes()) == {"LSU": 2, "ALU": 2, "CBU": 2, "FMA": 1}


def test_the_unrolled_loop_is_the_main_one():
    text = listing(
        ".L_x_1:",
        "LDG.E.128 R4, desc[UR4][R2.64]",
        "LDG.E.128 R8, desc[UR4][R2.64+0x10]",
        "STG.E.128 desc[UR4][R2.64], R4",
        "STG.E.128 desc[UR4][R2.64+0x10], R8",
        "@P0 BRA `(.L_x_1)",
        ".L_x_2:",
        "LDG.E.128 R4, desc[UR4][R2.64]",
        "STG.E.128 desc[UR4][R2.64], R4",
        "@P0 BRA `(.L_x_2)",
        ".L_x_3:",
        "LDG.E R4, desc[UR4][R2.64]",
        "LDG.E R5, desc[UR4][R2.64]",
        "STG.E desc[UR4][R2.64], R4",
        "STG.E desc[UR4][R2.64], R5",
        "@P0 BRA `(.L_x_3)",
        "EXIT",
    )
    trip = main_trip(text)
    assert (len(trip.instructions), trip.stored, trip.loads) == (5, 32, 2)


def test_a_loop_inside_is_gone_through_once():
    text = listing(
        ".L_x_1:",
        "LDG.E.64 R4, desc[UR4][R2.64]",
        ".L_x_2:",
        "LOP3.LUT R4, R4, 0x1, RZ, 0xc0, !PT",
        "@P1 BRA `(.L_x_2)",
        "STG.E.64 desc[UR4][R2.64], R4",
        "@P0 BRA `(.L_x_1)",
        "EXIT",
    )
    trip = main_trip(text)
    assert [i.name for i in trip.instructions] == ["LDG", "LOP3", "BRA", "STG", "BRA"]


def test_a_kernel_that_only_counts():
    """Its loop stores nothing; that of the last block stores and counts nothing."""
    text = listing(
        ".L_x_1:",
        "LDG.E.128 R4, desc[UR4][R2.64]",
        "ATOMS.ADD R9, [R8], R4",
        "@P0 BRA `(.L_x_1)",
        ".L_x_2:",
        "LDG.E.64 R4, desc[UR4][R2.64]",
        "STG.E.64 desc[UR4][R2.64], R4",
        "@P0 BRA `(.L_x_2)",
        "EXIT",
    )
    trip = main_trip(text)
    assert [i.name for i in trip.instructions] == ["LDG", "ATOMS", "BRA"]
    assert elements("relu_counts_kernel<Float32, C, 4, false>", trip) == 4
    assert elements("count_activation_kernel<Float32, C, 4, false>", trip) == 2


def test_without_a_loop_the_way_to_the_exit_counts():
    text = listing(
        "@P0 EXIT",
        "LDG.E.U16 R4, desc[UR4][R2.64]",
        "HADD2.F32 R4, -RZ, R4.H0_H0",
        "STG.E.U16 desc[UR4][R2.64], R4",
        "EXIT",
    )
    trip = main_trip(text)
    assert len(trip.instructions) == 5
    assert (trip.stored, trip.loaded) == (2, 2)


def test_kernels_are_told_apart():
    text = LOOP + "\n" + listing("EXIT", name="other")
    assert {name: len(trip.instructions) for name, trip in read_listing(text).items()} == {
        "kernel": 7,
        "other": 1,
    }


@pytest.mark.parametrize(
    ("kernel", "stored", "count"),
    [
        ("counting_relu_kernel<Float32, C, 4, false>", 16, 4),
        ("counting_relu_kernel<BFloat16, C, 8, false>", 16, 8),
        ("max_pool_kernel<Float16, char, int, W, 1, false>", 3, 1),
        ("max_pool_kernel<Float32, short, int, W, 1, false>", 6, 1),
        ("max_unpool_quads_kernel<Float32, LastCells, 2, true>", 32, 8),
    ],
)
def test_elements_of_a_trip(kernel, stored, count):
    assert elements(kernel, Trip(stored, 0, 0, [])) == count


def test_load():
    gpu = GPU("one", terabytes=1 / 0.9, processors=1, gigahertz=1000)
    # 1e12 bytes and 1e12 clocks a second: 4 bytes take as long as 256 instructions on the ALU.
    assert gpu.load({"ALU": 256}, 4) == 1
    assert gpu.load({"ALU": 512}, 4) == 2
    assert gpu.load({"ALU": 256, "FMA": 256, "LSU": 128, "CBU": 128}, 4) == 1.5
    assert gpu.load({"ALU": 64, "CBU": 192}, 4) == 0.5
    assert gpu.load({"XU": 128}, 4) == 2
    assert gpu.load({"LSU": 192}, 4) == 1.5


ROW = kernel_budget.Row("row", "k<Float32>", goal=12, moved=8, in_flight=2)


def trip_of(instructions, loads=2):
    return Trip(16, 16 * loads, 16, [Instruction("", "LOP3.LUT", "")] * instructions)


@pytest.mark.parametrize(
    ("trips", "stored", "wrong"),
    [
        ({"k<Float32>": trip_of(40)}, {"row": 10.0}, []),
        ({"k<Float32>": trip_of(44)}, {"row": 10.0}, []),
        (
            {"k<Float32>": trip_of(45)},
            {"row": 10.0},
            ["row: at most 10 % more than the stored 10, got 11.25"],
        ),
        ({"k<Float32>": trip_of(48)}, {"row": 12.0}, []),
        ({"k<Float32>": trip_of(49)}, {"row": 12.0}, ["row: at most 12 instructions, got 12.25"]),
        (
            {"k<Float32>": trip_of(40, loads=1)},
            {"row": 10.0},
            ["row: at least 2 vectors in flight, got 1"],
        ),
        (
            {"k<Float32>": trip_of(40)},
            {},
            ["row: must be stored in cuda_budget.json; --store does so"],
        ),
        (
            {"other<Float32>": trip_of(40)},
            {"row": 10.0},
            ["row: must be one of the kernels, got no k<Float32>"],
        ),
    ],
)
def test_budget(monkeypatch, trips, stored, wrong):
    monkeypatch.setattr(kernel_budget, "ROWS", [ROW])
    assert list(kernel_budget.check(trips, stored)) == wrong


def test_a_share_of_what_is_stored():
    row = dataclasses.replace(ROW, share=4)
    assert row.pipes(trip_of(48)) == {"ALU": 3}


def test_what_is_stored_keeps_the_goals():
    stored = kernel_budget.load()
    assert set(stored) == {row.name for row in kernel_budget.ROWS}
    assert all(stored[row.name] <= row.goal for row in kernel_budget.ROWS)


def test_usage_of_two_architectures():
    said = """
ptxas info    : Compiling entry function '_Z1kPf' for 'sm_80'
ptxas info    : Function properties for _Z1kPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 16 bytes smem, 360 bytes cmem[0]
ptxas info    : Compiling entry function '_Z1kPf' for 'sm_90a'
ptxas info    : Function properties for _Z1kPf
    8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers
"""
    usage = cuda_check.read_usage(said)
    assert {a: str(used) for a, used in usage["_Z1kPf"].items()} == {"80": "32+16B", "90": "40!12B"}


@pytest.mark.parametrize(
    ("kernel", "architecture", "spilled", "wrong"),
    [
        ("KeyCounter<Float32, 4>, 4, false", "90", 0, []),
        (
            "KeyCounter<Float32, 4>, 4, false",
            "80",
            4,
            ["must spill no registers on sm_80, got 4 bytes"],
        ),
        ("KeySlotCounter<Float16, 8>, 8, false", "80", 64, []),
        (
            "KeySlotCounter<Float16, 8>, 8, false",
            "75",
            65,
            ["must spill at most 64 bytes on sm_75, got 65 bytes"],
        ),
        (
            "KeySlotCounter<Float16, 8>, 8, false",
            "90",
            4,
            ["must spill no registers on sm_90, got 4 bytes"],
        ),
    ],
)
def test_spills(monkeypatch, kernel, architecture, spilled, wrong):
    name = f"counting_relu_kernel<{kernel.split('<')[1].split(',')[0]}, {kernel}>"
    monkeypatch.setattr(cuda_check, "readable", lambda names: names)
    usage = {name: {architecture: cuda_check.Usage(64, 0, spilled)}}
    assert list(cuda_check.spills(usage)) == [f"{name}: {line}" for line in wrong]
