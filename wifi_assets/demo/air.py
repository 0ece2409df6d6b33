"""What the sniffer at Birkenweg 7 hears, hour by hour: frames in the order in which they arrive.

Here belongs who sends what and when, and how frames come late. Not here: who lives there
(``household.py``), what a frame is (``frame.py``), what a platform must find in it (``truth.py``).

An hour depends on nothing but the seed, the hour and the number of frames, so a longer simulation
begins with a shorter one's frames, and memory holds one hour.
"""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from wifi_assets.demo import frame as ieee80211
from wifi_assets.demo.frame import BROADCAST, DSSS_1, OFDM_6, OFDM_24, OFDM_54, Elements, Frame
from wifi_assets.demo.household import (
    ACCESS_POINTS,
    COLLECTOR,
    METRONOME,
    NADIAS_PHONE,
    PASSING_MODELS,
    REGULARS,
    ROBOT,
    STRANGERS_SSIDS,
    TSHARK_NAMES,
    WILDCARD,
    AccessPoint,
    Device,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

#: Fewer would be nothing but the regular probe requests.
FEWEST_FRAMES_PER_HOUR = 200

_PROBE_SHARE = 0.13
#: Of the frames that are no probe requests, per cent of all frames.
_SHARES = {
    ieee80211.ACK: 33,
    ieee80211.RTS: 20,
    ieee80211.NULL: 11,
    ieee80211.BEACON: 10,
    ieee80211.CTS: 6,
    ieee80211.QOS_DATA: 4,
    ieee80211.PROBE_RESPONSE: 1,
    ieee80211.BLOCK_ACK: 1,
    ieee80211.AUTHENTICATION: 1,
}
#: How busy each hour of the day is; the mean is 1.
_BUSY = (0.7, 0.6, 0.6, 0.6, 0.6, 0.7, 0.9, 1.1, 1.0, 0.9, 0.9, 1.0,
         1.2, 1.1, 1.0, 1.0, 1.2, 1.4, 1.5, 1.5, 1.4, 1.3, 0.9, 0.9)  # fmt: skip


@dataclass(frozen=True)
class Air:
    """A stretch of time beside the sniffer.

    Attributes:
        seed: Any number; the same seed, the same frames.
        frames_per_hour: On average; evenings have more, nights fewer.
        first_hour: First hour, counted since 1970 (UTC).
        hours: How many; None goes on for ever.
    """

    seed: int
    frames_per_hour: int
    first_hour: int
    hours: int | None = None

    def __post_init__(self) -> None:
        if self.frames_per_hour < FEWEST_FRAMES_PER_HOUR:
            raise ValueError(f"{self.frames_per_hour} frames an hour: at least {FEWEST_FRAMES_PER_HOUR} are needed")

    def arrivals(self) -> Iterator[tuple[int, Frame]]:
        """(arrival in microseconds since 1970, frame), by arrival.

        Most frames arrive as they are heard. 5 % arrive up to 230 ms later, so that times go back, and 3 of
        1,000 up to three hours later, as if from a second sniffer that had lost its connection. No frame
        was heard outside the stretch, but late ones may arrive after it.
        """
        end = None if self.hours is None else (self.first_hour + self.hours) * HOUR
        waiting: list[tuple[int, int, Frame]] = []
        order = count()
        for hour in count(self.first_hour) if self.hours is None else range(self.first_hour, end // HOUR):  # type: ignore[operator]
            rng = random.Random(f"{self.seed}/{hour}")  # noqa: S311
            for frame in sorted(_Hour(rng, hour, self.frames_per_hour).frames(), key=lambda frame: frame.time_us):
                arrival = frame.time_us + _delay(rng)
                if end is None or frame.time_us < end:
                    heapq.heappush(waiting, (arrival, next(order), frame))
            while waiting and waiting[0][0] < (hour + 1) * HOUR:
                arrival, _, frame = heapq.heappop(waiting)
                yield arrival, frame
        while waiting:
            arrival, _, frame = heapq.heappop(waiting)
            yield arrival, frame


def _delay(rng: random.Random) -> int:
    chance = rng.random()
    if chance < 0.003:
        return rng.randrange(20 * MINUTE, 3 * HOUR)
    return rng.randrange(230_000) if chance < 0.053 else 0


def _random_address(rng: random.Random) -> str:
    first = rng.getrandbits(8) & 0xFC | 0x02  # individual, locally administered
    return ":".join(f"{octet:02x}" for octet in (first, *rng.randbytes(5)))


@dataclass
class _Hour:
    """Plans one hour; what begins in it may go on after it."""

    rng: random.Random
    hour: int
    frames_per_hour: int
    _strangers: int = 0

    def frames(self) -> Iterator[Frame]:
        total = self.frames_per_hour * _BUSY[self.hour % 24]
        left = total * _PROBE_SHARE
        for frame in self._appointments():
            left -= 1
            yield frame
        here = [device for device in REGULARS if device.is_here(self.hour)]
        while left > 0:
            device = self.rng.choice(here) if self.rng.random() < 0.6 else self._stranger()
            for frame in self._visit(device):
                left -= 1
                yield frame
        others = round(total * (1 - _PROBE_SHARE))
        for subtype in self.rng.choices(tuple(_SHARES), tuple(_SHARES.values()), k=others):
            yield self._other(subtype)

    def _appointments(self) -> Iterator[Frame]:
        """Probe requests that are there every day, since a truth rests on them."""
        start = self.hour * HOUR
        for minute in range(0, 60, 4):
            yield from self._burst(ROBOT, _random_address(self.rng), start + minute * MINUTE + self._up_to(10), (6,))
        if self.hour % 24 == 3:
            # Three addresses at the longest gap that still joins, a millisecond too much, two more.
            for moment in (300_000, 600_000, 900_000, 1_200_001, 1_500_001):
                yield self._probe(METRONOME, _random_address(self.rng), start + moment * 1000, 11, WILDCARD)
        if self.hour % 24 == 12:
            yield from self._burst(COLLECTOR, str(COLLECTOR.mac), start + self._up_to(3000), (1,))
        if self.hour % 24 == 23:
            for minute in range(48, 73, 3):
                moment = start + minute * MINUTE + self._up_to(60)
                yield from self._burst(NADIAS_PHONE, _random_address(self.rng), moment, (1,))

    def _visit(self, device: Device) -> Iterator[Frame]:
        """Some scan bursts of one device."""
        moment = self.hour * HOUR + self.rng.randrange(HOUR)
        for _ in range(self.rng.randint(3, 8) if device.changes_address else self.rng.randint(1, 3)):
            address = device.mac
            if address is None or (device.changes_address and self.rng.random() < 0.75):
                address = _random_address(self.rng)
            channels = self.rng.sample((1, 6, 11, 36), self.rng.randint(1, 2))
            yield from self._burst(device, address, moment, tuple(channels))
            moment += self.rng.randrange(20 * SECOND, 280 * SECOND)

    def _burst(self, device: Device, address: str, moment: int, channels: tuple[int, ...]) -> Iterator[Frame]:
        for channel in channels:
            for ssid in device.networks:
                yield self._probe(device, address, moment, channel, ssid)
                moment += self.rng.randrange(3_000, 25_000)
            moment += self.rng.randrange(60_000, 120_000)

    def _probe(self, device: Device, address: str, moment: int, channel: int, ssid: bytes | None) -> Frame:
        elements = Elements(ssid, device.tags, None, device.ht_capabilities, device.has_he)
        heard = self._management(
            ieee80211.PROBE_REQUEST,
            BROADCAST,
            address,
            BROADCAST,
            moment,
            channel,
            device.signal_dbm,
            elements,
        )
        return replace(heard, sender=device.label)

    def _stranger(self) -> Device:
        model = self.rng.choice(PASSING_MODELS)
        changes_address = self.rng.random() < 0.7
        mac = None
        if not changes_address:
            mac = f"{self.rng.choice(tuple(TSHARK_NAMES))}:" + self.rng.randbytes(3).hex(":")
        looked_for = self.rng.sample(STRANGERS_SSIDS, self.rng.choice((0, 0, 1, 2)))
        signal = self.rng.randint(-90, -65)
        self._strangers += 1
        return Device(
            f"Stranger {self.hour}/{self._strangers}", mac, model.tags, (WILDCARD, *looked_for), changes_address,
            signal, model.ht_capabilities, model.has_he,
        )  # fmt: skip

    def _other(self, subtype: int) -> Frame:
        moment = self.hour * HOUR + self.rng.randrange(HOUR)
        weights = [4 * len(one.stations) + (subtype == ieee80211.BEACON) for one in ACCESS_POINTS]
        access_point: AccessPoint = self.rng.choices(ACCESS_POINTS, weights)[0]
        home, channel, strength = access_point.bssid, access_point.channel, access_point.signal_dbm
        elements = Elements(access_point.ssid, access_point.tags, access_point.country)
        if subtype == ieee80211.BEACON:
            return self._management(subtype, BROADCAST, home, home, moment, channel, strength, elements)
        station = self.rng.choice(access_point.stations)
        if subtype == ieee80211.PROBE_RESPONSE:
            return self._management(subtype, station, home, home, moment, channel, strength, elements)
        downwards = self.rng.random() < 0.4 and subtype not in (ieee80211.NULL, ieee80211.AUTHENTICATION)
        receiver, transmitter = (station, home) if downwards else (home, station)
        signal = self._signal(strength if downwards else strength - 15)
        if subtype in (ieee80211.ACK, ieee80211.CTS):
            return Frame(moment, subtype, channel, signal, OFDM_24, receiver)
        if subtype in (ieee80211.RTS, ieee80211.BLOCK_ACK):
            return Frame(moment, subtype, channel, signal, OFDM_24, receiver, transmitter)
        if subtype == ieee80211.AUTHENTICATION:
            return Frame(moment, subtype, channel, signal, OFDM_6, receiver, transmitter, home)
        if subtype == ieee80211.NULL:
            return Frame(moment, subtype, channel, signal, OFDM_24, receiver, transmitter, home)
        beyond = self.rng.choice(("24:5a:4c:00:07:00", "33:33:00:00:00:fb" if not downwards else "24:5a:4c:00:07:0a"))
        return Frame(moment, subtype, channel, signal, OFDM_54, receiver, transmitter, beyond, downwards,
                     payload=self.rng.randrange(40, 1400))  # fmt: skip

    def _management(
        self, subtype: int, receiver: str, transmitter: str, bssid: str, moment: int, channel: int,
        strength: int, elements: Elements,
    ) -> Frame:  # fmt: skip
        rate = DSSS_1 if channel <= 14 else OFDM_6
        signal = self._signal(strength)
        return Frame(moment, subtype, channel, signal, rate, receiver, transmitter, bssid, elements=elements)

    def _signal(self, mean: int) -> int | None:
        if self.rng.random() < 0.005:
            return None
        return max(-100, min(-20, round(self.rng.gauss(mean, 3))))

    def _up_to(self, seconds: int) -> int:
        return self.rng.randrange(seconds * SECOND)
