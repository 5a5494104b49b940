from lcnet.progress import track


def test_without_a_terminal_one_line_is_told_and_all_items_come(capsys):
    assert list(track(iter("abc"), "Reading", 1234)) == ["a", "b", "c"]
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "Reading: 1,234\n")
