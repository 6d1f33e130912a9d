"""A picture keeps its origin, and stays where only rounding differs."""

import json
import subprocess

import matplotlib.pyplot as plt

from mlcgmd.paper import figures, provenance


def test_a_sidecar_keeps_the_commit_at_which_its_picture_was_made(tmp_path):
    def save(colour):
        figure, axis = plt.subplots()
        axis.plot([0, 1], color=colour)
        provenance.save(figure, "line", notebook="test", parameters={"sizes": (1, 2)}, inputs=[], folder=tmp_path)
        plt.close(figure)
        return json.loads((tmp_path / "line.json").read_text())

    figures.style()
    first = save("red")
    assert first["commit"] == provenance.commit()
    (tmp_path / "line.json").write_text(json.dumps(first | {"commit": "an earlier one"}))
    assert save("red")["commit"] == "an earlier one"
    assert save("blue")["commit"] == provenance.commit()


def test_a_picture_that_differs_by_rounding_stays(tmp_path):
    def save(value):
        figure, axis = plt.subplots()
        axis.plot([0, value, 1])
        axis.set(ylim=(0, 1))
        provenance.save(figure, "line", notebook="test", parameters={}, inputs=[], folder=tmp_path)
        plt.close(figure)
        return [(tmp_path / f"line.{kind}").read_bytes() for kind in ("svg", "png", "json")]

    figures.style()
    first = save(0.5)
    assert save(0.50001) == first
    assert all(a != b for a, b in zip(save(0.51), first, strict=True))
    assert provenance.same_picture('x="1.00" id="m0123456789"', 'x="1.04" id="mabcdef0123"')
    assert not provenance.same_picture('x="1.00" fill="red"', 'x="1.00" fill="blue"') and not provenance.same_picture(
        'x="1.0"', 'x="1.0" y="2.0"'
    )


def test_the_commit_is_that_of_the_folder(tmp_path):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a", "-C", tmp_path, *words], check=True, capture_output=True)

    assert provenance.commit(tmp_path / "gone") == "unknown"

    def write(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    git("init")
    write("code/a.py", "1")
    git("add", ".")
    git("commit", "-m", "code")
    made = provenance.commit(tmp_path / "code")
    assert len(made) == 12
    write("other/b.py", "1")
    git("add", ".")
    git("commit", "-m", "other")
    assert provenance.commit(tmp_path / "code") == made
    write("code/a.py", "2")
    assert provenance.commit(tmp_path / "code") == f"{made}-dirty"
