"""Speech from an endpoint that misbehaves."""

from typing import Any

import numpy as np
import pytest
from server import KEY, Server

from undertone.attributes import ATTRIBUTES
from undertone.audio import BadSound
from undertone.endpoint import Backoff, Endpoint, SpendLimit, Unreachable
from undertone.speech.synthesisers.openai_tts import VOICES, OpenAITTS, instructions

CHILD = {"age": "child", "gender": "male", "emotion": "sad"}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def voice(server: Server, **more: Any) -> OpenAITTS:
    settings: dict[str, Any] = {"key_variable": "TEST_KEY", "backoff": Backoff(0.01, 0.02), "timeout": 5.0, "attempts": 3}
    return OpenAITTS(Endpoint("tts", server.url, **(settings | more)))


def test_stereo_at_24_khz_becomes_mono_at_16_khz() -> None:
    with Server() as server:
        wave = voice(server).speak("hello", CHILD, speaker=0)
    assert wave.dtype == np.float32
    assert wave.shape == (8000,)
    assert 0.45 < np.abs(wave[1000:-1000]).max() < 0.55
    peak = np.abs(np.fft.rfft(wave)).argmax() / 0.5
    assert peak == 100 + 10 * len(VOICES["male"][0])


def test_the_request_says_what_to_say_and_how() -> None:
    with Server() as server:
        voice(server).speak("hello", CHILD, speaker=1)
        body = server.served[0].body
    assert body["input"] == "hello"
    assert body["voice"] == VOICES["male"][1]
    assert "a child of about seven; a man; sad, slow and low" in body["instructions"]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_value_is_told_in_words_of_its_own(name: str) -> None:
    assert len({instructions({name: value}) for value in ATTRIBUTES[name].names}) == len(ATTRIBUTES[name].names)


def test_speakers_go_round_the_voices_of_their_gender() -> None:
    with Server() as server:
        speech = voice(server)
        for speaker in range(5):
            speech.speak("hello", {**CHILD, "gender": "female"}, speaker)
        assert [row.body["voice"] for row in server.served] == [*VOICES["female"], VOICES["female"][0]]


def test_no_voice_of_one_group_of_speakers_is_heard_in_another() -> None:
    with Server() as server:
        speech = voice(server)
    heard = [speech.voices(speaker) for speaker in range(1000, 1040)]
    assert set().union(*heard) == {*VOICES["female"], *VOICES["male"]}, "every voice speaks"
    assert heard[0] == speech.voices(1040), "both numbers are one voice"
    for i, one in enumerate(heard):
        for j, other in enumerate(heard):
            assert not one & other or (i - j) % 4 == 0
    assert speech.speaker_name({"gender": "male"}, 1000) == "ash"


@pytest.mark.parametrize("fault", ["429", "500", "half"])
def test_a_passing_fault_changes_nothing(fault: str) -> None:
    with Server([fault]) as server:
        speech = voice(server)
        assert np.array_equal(speech.speak("hello", CHILD, 0), speech.speak("hello", CHILD, 0))
        assert [row.fault for row in server.served] == [fault, "", ""]


def test_what_is_no_sound_is_an_error_that_names_address_and_text() -> None:
    with Server(["not-sound"]) as server, pytest.raises(BadSound, match=f"{server.url}.*'hello': is no sound file"):
        voice(server).speak("hello", CHILD, 0)


def test_speech_counts_towards_the_spend_limit() -> None:
    with Server() as server:
        speech = voice(server, max_tokens_spent=1)
        speech.speak("hello", CHILD, 0)
        with pytest.raises(SpendLimit):
            speech.speak("hello", CHILD, 0)
        assert len(server.served) == 1


def test_unreachable_names_the_address() -> None:
    server = Server()
    server.rise()
    server.die()
    with pytest.raises(Unreachable, match=server.url):
        voice(server).speak("hello", CHILD, 0)


def test_a_gender_without_voice_is_an_error() -> None:
    with Server() as server, pytest.raises(ValueError, match="'male'"):
        OpenAITTS(Endpoint("tts", server.url, "TEST_KEY"), {"female": ["nova"]})
