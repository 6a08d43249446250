"""Words of scripts that put no spaces between them, or endings onto them, are found: without a model, and in what is long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from earlier import before

from loci import Message
from loci.drivers.sqlite.schema import space
from loci.system import Cube
from loci.text.tokens import length, spaced, terms
from loci.wire import MemOS

SAID = {
    "我住在上海，喜欢吃辣的火锅。": ("我住在哪里？", "火锅"),
    "我的狗叫小白，今年三岁。": ("我的狗叫什么名字？", "小白"),
    "我在阿里巴巴工作，是一名工程师。": ("我在哪里工作？", "工程师"),
    "私は東京に住んでいて、猫を二匹飼っています。": ("猫は何匹飼っていますか？", "東京"),
    "来週の金曜日に歯医者の予約があります。": ("歯医者の予約はいつ？", "金曜日"),
    "コーヒーはブラックで飲みます。": ("ｺｰﾋｰ",),
    "나는 서울에 살고 있고 커피를 좋아해요.": ("서울", "커피"),
    "ฉันอยู่ที่กรุงเทพและชอบกินส้มตำ": ("ฉันอยู่ที่ไหน", "ส้มตำ"),
    "I live in Porto with my dog Rex.": ("Where do I live?", "Rex"),
}  # fmt: skip


@pytest.fixture
def cube(open_vault: Callable[..., MemOS]) -> Cube:
    cube = open_vault().cube("main")
    for text in SAID:
        cube.add(Message("user", text), user="ana")
    return cube


@pytest.mark.parametrize("text", SAID)
def test_what_was_said_is_found_by_its_words(cube: Cube, text: str) -> None:
    for question in SAID[text]:
        hits = cube.search(question, user="ana").hits
        assert hits and hits[0].memory.text == text, question


def test_a_part_of_what_was_said_counts_as_said(cube: Cube) -> None:
    """As in the languages with spaces: what a speaker has said before is no news of somebody else's."""
    with cube._store.write(cube._parts.clock.now()) as tx:
        assert tx.says("ana", ["喜欢吃辣", "猫を二匹", "서울에 살고"]) and not tx.says("ana", ["喜欢吃甜"])


def test_of_a_long_text_the_sentence_is_shown_that_is_asked_for(open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault().cube("main")
    story = [f"第{number}天我们走过了一座很高的山，天气也很好。" for number in range(60)]
    cube.add(Message("user", "".join([*story[:40], "护照放在蓝色的抽屉里。", *story[40:]])))
    assert "护照放在蓝色的抽屉里。" in cube.search("护照在哪里？", budget_tokens=200).text


def test_what_was_erased_is_in_no_pair(cube: Cube) -> None:
    (id,) = (memory.id for memory in cube.list() if "阿里巴巴" in memory.text)
    cube.erase(id)
    assert all("阿里巴巴" not in hit.memory.text for hit in cube.search("阿里巴巴", user="ana").hits)
    held = b"".join(file.read_bytes() for file in cube._store.path.parent.glob("main.loci*"))
    assert cube.verify().is_clean and not any(pair.encode() in held for pair in ("阿里", "里巴", "巴巴"))


def test_a_cube_from_before_finds_them_too(open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    memory = open_vault(tmp_path)
    memory.cube("main").add([Message("user", text) for text in SAID], user="ana")
    path = memory.cube("main")._store.path
    memory.close()
    db = apsw.Connection(str(path))
    for text in SAID:
        ((seq, user),) = db.execute(
            "SELECT c.seq, s.user FROM contents c JOIN memories m ON m.seq = c.memory JOIN sources s ON s.seq = m.source WHERE s.text = ?", (text,)
        ).fetchall()  # fmt: skip
        db.execute("DELETE FROM text_index WHERE rowid = ?", (seq,))
        db.execute("INSERT INTO text_index (rowid, scope, words) VALUES (?,?,?)", (seq, f"u{user}", text))
    db.close()
    before(space, path)
    cube = open_vault(tmp_path).cube("main")
    assert cube.verify().is_clean
    assert [cube.search(asked[0], user="ana").hits[0].memory.text for asked in SAID.values()] == list(SAID)


def test_the_form_of_words_in_the_index() -> None:
    assert spaced("I like tea, 42 %.") == "I like tea, 42 %." and spaced("Ünïcödé é") == "Ünïcödé é"
    assert spaced("我喜欢茶abc猫").split() == ["我", "我喜", "喜", "喜欢", "欢", "欢茶", "茶", "abc", "猫"]
    assert spaced("コーヒーを").split() == ["コー", "ーヒ", "ヒー", "ーを"] and spaced("서울에").split() == ["서울", "울에"]
    assert spaced("ที่ไหน").split() == ["ทไ", "ไห", "หน"], "a mark ends a word for FTS5"
    assert terms("Where is 上海的猫?") == ["上", "上海", "海", "海的", "的猫", "猫"]
    assert (length("I live here."), length("我住在上海，喜欢"), length("나는 서울에 살고")) == (3, 5, 4)
