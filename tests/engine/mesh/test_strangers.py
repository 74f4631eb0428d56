import math

from engine.mesh.strangers import StrangerLog


def test_ten_lines_a_second_then_their_number(lines):
    log = StrangerLog()
    for index in range(25):
        log.write(f"line {index}", 0.5)
    assert log.next_tick() == 1.5
    log.tick(1.4)
    assert lines.all == [f"line {index}" for index in range(10)]
    log.tick(1.5)
    assert lines.all[10:] == ["15 more connections were turned away"]
    assert log.next_tick() == math.inf


def test_a_later_second_has_lines_of_its_own(lines):
    log = StrangerLog()
    for index in range(11):
        log.write(f"line {index}", 0.0)
    log.write("later", 5.0)
    assert lines.all[10:] == ["1 more connection was turned away", "later"]
