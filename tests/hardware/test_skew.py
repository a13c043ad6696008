"""Delays of channels that take turns, against the tables of published chips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from implant_sim.hardware.physics import skew
from tests.hardware import hw

# which channel each ADC takes at each turn; turns are set apart by semicolons, ADCs by spaces.
# billkarsh/ProbeTable 1.5
NP1000 = """
    0 1 24 25 48 49 72 73 96 97 120 121 144 145 168 169 192 193 216 217 240 241 264 265
    288 289 312 313 336 337 360 361;
    2 3 26 27 50 51 74 75 98 99 122 123 146 147 170 171 194 195 218 219 242 243 266 267
    290 291 314 315 338 339 362 363;
    4 5 28 29 52 53 76 77 100 101 124 125 148 149 172 173 196 197 220 221 244 245 268 269
    292 293 316 317 340 341 364 365;
    6 7 30 31 54 55 78 79 102 103 126 127 150 151 174 175 198 199 222 223 246 247 270 271
    294 295 318 319 342 343 366 367;
    8 9 32 33 56 57 80 81 104 105 128 129 152 153 176 177 200 201 224 225 248 249 272 273
    296 297 320 321 344 345 368 369;
    10 11 34 35 58 59 82 83 106 107 130 131 154 155 178 179 202 203 226 227 250 251 274
    275 298 299 322 323 346 347 370 371;
    12 13 36 37 60 61 84 85 108 109 132 133 156 157 180 181 204 205 228 229 252 253 276
    277 300 301 324 325 348 349 372 373;
    14 15 38 39 62 63 86 87 110 111 134 135 158 159 182 183 206 207 230 231 254 255 278
    279 302 303 326 327 350 351 374 375;
    16 17 40 41 64 65 88 89 112 113 136 137 160 161 184 185 208 209 232 233 256 257 280
    281 304 305 328 329 352 353 376 377;
    18 19 42 43 66 67 90 91 114 115 138 139 162 163 186 187 210 211 234 235 258 259 282
    283 306 307 330 331 354 355 378 379;
    20 21 44 45 68 69 92 93 116 117 140 141 164 165 188 189 212 213 236 237 260 261 284
    285 308 309 332 333 356 357 380 381;
    22 23 46 47 70 71 94 95 118 119 142 143 166 167 190 191 214 215 238 239 262 263 286
    287 310 311 334 335 358 359 382 383
"""

NP2000 = """
    0 1 32 33 64 65 96 97 128 129 160 161 192 193 224 225 256 257 288 289 320 321 352 353;
    2 3 34 35 66 67 98 99 130 131 162 163 194 195 226 227 258 259 290 291 322 323 354 355;
    4 5 36 37 68 69 100 101 132 133 164 165 196 197 228 229 260 261 292 293 324 325 356
    357;
    6 7 38 39 70 71 102 103 134 135 166 167 198 199 230 231 262 263 294 295 326 327 358
    359;
    8 9 40 41 72 73 104 105 136 137 168 169 200 201 232 233 264 265 296 297 328 329 360
    361;
    10 11 42 43 74 75 106 107 138 139 170 171 202 203 234 235 266 267 298 299 330 331 362
    363;
    12 13 44 45 76 77 108 109 140 141 172 173 204 205 236 237 268 269 300 301 332 333 364
    365;
    14 15 46 47 78 79 110 111 142 143 174 175 206 207 238 239 270 271 302 303 334 335 366
    367;
    16 17 48 49 80 81 112 113 144 145 176 177 208 209 240 241 272 273 304 305 336 337 368
    369;
    18 19 50 51 82 83 114 115 146 147 178 179 210 211 242 243 274 275 306 307 338 339 370
    371;
    20 21 52 53 84 85 116 117 148 149 180 181 212 213 244 245 276 277 308 309 340 341 372
    373;
    22 23 54 55 86 87 118 119 150 151 182 183 214 215 246 247 278 279 310 311 342 343 374
    375;
    24 25 56 57 88 89 120 121 152 153 184 185 216 217 248 249 280 281 312 313 344 345 376
    377;
    26 27 58 59 90 91 122 123 154 155 186 187 218 219 250 251 282 283 314 315 346 347 378
    379;
    28 29 60 61 92 93 124 125 156 157 188 189 220 221 252 253 284 285 316 317 348 349 380
    381;
    30 31 62 63 94 95 126 127 158 159 190 191 222 223 254 255 286 287 318 319 350 351 382
    383
"""


@pytest.mark.parametrize(
    ("name", "table", "clock"),
    [("neuropixels_1", NP1000, 390e3), ("neuropixels_2", NP2000, 480e3)],
)
def test_round_trip_against_the_published_tables(name, table, clock):
    readout = skew.READOUTS[name]
    rows = [[int(word) for word in row.split()] for row in table.split(";")]
    assert len(rows) == readout.ways
    assert {len(row) for row in rows} == {readout.n_adcs}
    given_ = (readout.n_channels, readout.ways, readout.n_adcs, readout.grouping)
    adc, turn = skew.adc_of(*given_), skew.turn_of(*given_)
    delays = readout.delays_s()
    assert readout.clock_hz == clock
    for t, row in enumerate(rows):
        for a, channel in enumerate(row):
            assert (turn[channel], adc[channel]) == (t, a)
            assert abs(delays[channel] - t / clock) < 1e-9


def test_delays_to_the_nanosecond():
    first, second, intan = (
        np.round(1e9 * skew.READOUTS[name].delays_s()).astype(int)
        for name in ("neuropixels_1", "neuropixels_2", "intan_rhd2132")
    )
    assert sorted(set(first)) == [
        0, 2564, 5128, 7692, 10256, 12821, 15385, 17949, 20513, 23077, 25641, 28205,
    ]  # fmt: skip
    assert second[:6].tolist() == [0, 0, 2083, 2083, 4167, 4167]
    assert second.max() == 31250
    assert intan[:3].tolist() == [0, 952, 1905]
    assert skew.READOUTS["intan_rhd2132"].clock_hz == 1.05e6
    wide = skew.READOUTS["intan_rhd2164"].delays_s()
    assert wide[:32].tolist() == wide[32:].tolist()  # two ADCs side by side


@pytest.mark.parametrize("name", list(skew.READOUTS))
def test_every_turn_of_every_adc_serves_one_channel(name):
    readout = skew.READOUTS[name]
    given_ = (readout.n_channels, readout.ways, readout.n_adcs, readout.grouping)
    places = set(zip(skew.adc_of(*given_), skew.turn_of(*given_), strict=True))
    assert len(places) == readout.n_channels
    assert max(a for a, _ in places) == readout.n_adcs - 1
    assert max(t for _, t in places) == readout.ways - 1 < readout.slots


@pytest.mark.parametrize("name", list(skew.READOUTS))
def test_a_multiplexer_block_has_the_delays_of_the_chip(name):
    readout = skew.READOUTS[name]
    implant = hw.implant(
        {
            **hw.MUXED, "adc.shared_by": readout.ways, "adc.sample_rate": "30 kHz",
            "multiplexer.ways": readout.ways, "multiplexer.slots": readout.slots,
            "multiplexer.groups": readout.grouping,
        }
    )  # fmt: skip
    n = readout.n_channels
    assert np.allclose(
        implant.multiplexer.delays_s(n, n, 30e3), readout.delays_s(), rtol=0, atol=1e-15
    )
    wires = implant.multiplexer.group_of(n, n)
    assert len(np.unique(wires)) == implant.multiplexer.n_groups(n) == readout.n_adcs


@given(
    ways=st.integers(2, 40), n=st.integers(1, 200),
    grouping=st.sampled_from(["contiguous", "interleaved", "even_odd"]),
)  # fmt: skip
def test_channels_of_a_wire_never_meet(ways, n, grouping):
    mux = hw.implant(
        {**hw.MUXED, "adc.shared_by": ways, "multiplexer.ways": ways,
         "multiplexer.groups": grouping}
    ).multiplexer  # fmt: skip
    wire, delay = mux.group_of(n, n), mux.delays_s(n, n, 1e3)
    assert len({*zip(wire, delay, strict=True)}) == n
    assert wire.max() < mux.n_groups(n)
    assert 0 <= delay.min() <= delay.max() < 1e-3


def test_a_channel_held_for_a_bin_waits_for_no_other():
    assert not hw.implant(hw.HELD).multiplexer.delays_s(8, 8, 1e3).any()
    assert not hw.implant().multiplexer.delays_s(8, 8, 1e3).any()
