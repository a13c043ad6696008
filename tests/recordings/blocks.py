"""The `recording:` block of each real recording at hand."""

from __future__ import annotations

BLOCKS = {
    "m1": """
kind: hdf5
path: m1_reach_public.h5
counts: spikes/counts
bin: 50 ms
behaviour: {name: hand velocity, data: behavior/hand_vel, unit: m/s}
""",
    "chewie_full": """
kind: hdf5
path: m1pmd_chewie_public.h5
group: chewie_20131003_100ms_full
counts: spikes/counts
bin: bin_width_s
trial: trial
timestep: timestep
condition: target
behaviour: {name: hand velocity, data: behavior/hand_vel, unit: cm/s}
""",
    "chewie_moving": """
kind: hdf5
path: m1pmd_chewie_public.h5
group: chewie_20131003_50ms_thr5
counts: spikes/counts
bin: bin_width_s
trial: trial
timestep: timestep
condition: target
behaviour: {name: hand velocity, data: behavior/hand_vel, unit: cm/s}
""",
    "bci": """
kind: hdf5
path: bci_m1_degenhart_public.h5
counts: spikes/counts
bin: 45 ms
start: trials/start
length: trials/length
behaviour:
  {name: intended direction, data: trials/target_pos, minus: behavior/cursor_pos,
   direction: true, unit: unit vector}
""",
    "s1": """
kind: hdf5
path: s1_reach_public.h5
counts: spikes/counts
bin: 50 ms
segments: segments
behaviour: {name: hand velocity, data: behavior/hand_vel, unit: cm/s}
""",
    "reach20": """
kind: hdf5
path: reach_trials20ms_public.h5
counts: spikes/counts
bin: 20 ms
condition: trials/condition
behaviour: {name: hand velocity, data: behavior/hand_vel, unit: source units}
""",
    "linear_track": """
kind: hdf5
path: hippocampus_public.h5
group: linear_track
bin: 20 ms
events: {time: spikes/tick, unit: spikes/unit, clock: 30 kHz, span: behavior/tick}
behaviour: {name: position, data: behavior/pos, time: behavior/tick, unit: pixel}
""",
    "w_maze": """
kind: hdf5
path: hippocampus_public.h5
group: w_maze
bin: 20 ms
events: {time: spikes/tick, unit: spikes/unit, clock: 30 kHz, span: behavior/tick}
drop: [19]  # a noise cluster at 107 Hz
behaviour: {name: position, data: behavior/pos, time: behavior/tick, unit: pixel}
""",
    "zebrafish": """
kind: hdf5
path: calcium_2p_zebrafish_public.h5
group: trial_*
counts: dff
axes: [channel, bin]
bin: 133.333 ms
missing: nan
fluorescence: {decay: 1.9 s, threshold: 3}  # decay by autocovariance: C(2) / C(1)
split: {by: blocks, rounds: 3}
""",
    "gcamp8": """
kind: hdf5
path: calcium_groundtruth_gcamp8.h5
group: GCaMP8f/*
bin: 10 ms
events: {time: spike_times, span: time}
split: {rounds: 4}
""",
    "lorenz": """
kind: hdf5
path: lorenz_demo_replica_seed5.h5
counts: counts
bin: 20 ms
condition: condition
truth: {rates: rates_spikes_per_ms, unit: spikes/ms, expected: expected_counts}
split: {is_train: is_train, reuse_valid: true}
""",
}
