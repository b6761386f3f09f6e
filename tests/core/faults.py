"""The faults of the broken buffers, and the cases that must find them."""

from __future__ import annotations

from importlib.util import find_spec

from broken_buffers import (
    AddsPhantomSteps,
    BreaksInAFork,
    CastsObservations,
    CountsMemoryAsOthersUseIt,
    CrossesEpisodes,
    ForgetsASuccessor,
    HasNoNewestSuccessor,
    IgnoresTerminated,
    IsCarefulAtTheHead,
    LosesTails,
    LosesTheFinalObservation,
    MixesEnvironments,
    NeverClears,
    RepeatsTheFirstFrame,
    RoundsCapacityDown,
    SavesTheWholeCapacity,
    TakesIdsForPositions,
)
from broken_draws import (
    DividesByZero,
    DrawsFewRows,
    DrawsTheSameTimes,
    DrawsUnwrittenRows,
    DrawsWithReplacement,
    GivesOneOutput,
    GivesOneRowNoWeight,
    GivesWrongWeights,
    HasAPoorTree,
    IgnoresTheUniformShare,
    IsNotStratified,
    RanksBySize,
    RanksNewRowsLast,
    ReadsTheGlobalGenerator,
    RemembersPriorities,
    ScalesWeightsForEver,
    UpdatesOneByOne,
    UpdatesTheLastBatch,
    UpdatesWhateverIsThere,
    WeighsNewRowsTwice,
)

from mujigae.conformance import Adapter

FAULTS: dict[type[Adapter], tuple[str, ...]] = {
    LosesTheFinalObservation: (
        "truncated_row_keeps_its_final_observation_where_next_obs_is_not_stored",
        "truncated_tail_keeps_its_final_observation",
    ),
    HasNoNewestSuccessor: ("newest_row_has_its_own_next_obs_where_next_obs_is_not_stored",),
    ForgetsASuccessor: ("every_pair_of_options_gives_the_transitions_that_were_added",),
    CrossesEpisodes: ("no_window_crosses_a_truncation", "truncated_tail_keeps_its_final_observation"),
    IgnoresTerminated: (
        "window_that_reaches_the_terminal_is_terminated",
        "terminated_travels_with_next_obs",
        "discount_is_that_of_the_steps_really_taken",
        "terminated_wins_over_truncated",
    ),
    LosesTails: (
        "every_start_of_a_terminal_episode_is_stored",
        "episodes_shorter_than_n_steps_can_be_drawn",
        "reward_at_the_end_is_learnable",
    ),
    IsCarefulAtTheHead: ("episodes_longer_than_the_capacity_keep_their_newest_windows",),
    MixesEnvironments: ("environments_do_not_mix_in_n_step_windows",),
    TakesIdsForPositions: ("some_environments_may_step_in_any_order",),
    GivesOneOutput: ("batch_in_hand_does_not_change", "one_writer_and_several_samplers_work_at_once"),
    UpdatesTheLastBatch: ("priorities_of_an_earlier_batch_reach_its_own_rows",),
    UpdatesWhateverIsThere: ("late_priorities_do_not_touch_the_rows_that_came_since",),
    UpdatesOneByOne: (
        "impossible_priorities_leave_the_buffer_as_it_was",
        "last_of_duplicate_priorities_wins",
        "keys_that_were_never_issued_reach_no_row",
    ),
    DividesByZero: ("zero_priorities_neither_divide_nor_reach_unwritten_rows",),
    ScalesWeightsForEver: ("weights_forget_rows_that_are_gone",),
    WeighsNewRowsTwice: ("new_row_weighs_what_an_update_to_that_priority_would_give",),
    RemembersPriorities: ("priorities_of_all_magnitudes_leave_no_trace",),
    DrawsFewRows: (
        "rows_beside_an_outlier_can_all_be_drawn",
        "uniform_draws_are_uniform",
        "draws_are_in_proportion_to_the_priorities",
    ),
    DrawsTheSameTimes: ("environments_are_drawn_independently",),
    DrawsUnwrittenRows: (
        "partly_filled_buffer_gives_no_unwritten_row",
        "equal_weights_never_run_over_the_end",
        "empty_buffer_and_empty_batch_are_refused",
        "full_buffer_with_its_head_at_zero_has_short_windows_at_the_tail",
        "capacity_smaller_than_window_and_stack_still_works",
    ),
    IsNotStratified: ("stratified_draws_vary_less_than_independent_ones",),
    GivesWrongWeights: ("weights_are_those_of_the_draws",),
    NeverClears: ("cleared_buffer_draws_new_rows_only",),
    ReadsTheGlobalGenerator: (
        "seed_decides_over_prioritized_draws",
        "draws_neither_read_nor_move_the_global_generators",
    ),
    SavesTheWholeCapacity: ("saved_size_is_that_of_the_rows_held", "loaded_buffer_goes_on_as_the_saved_one"),
    RoundsCapacityDown: ("requested_capacity_is_held",),
    GivesOneRowNoWeight: ("buffer_of_one_row_can_be_drawn_from",),
    CastsObservations: (
        "observations_of_another_type_are_refused_or_kept_exactly",
        "arrays_of_every_layout_are_stored_as_they_read",
    ),
    RepeatsTheFirstFrame: ("stacks_do_not_cross_a_reset", "stacks_at_the_write_head_have_no_newer_frames"),
    CountsMemoryAsOthersUseIt: (
        "atari_transition_costs_little_more_than_its_newest_frame",
        "memory_does_not_grow_with_the_number_of_episodes",
    ),
    HasAPoorTree: (
        "target_equal_to_the_total_finds_a_positive_leaf",
        "prefix_order_is_index_order_for_every_capacity",
        "sums_are_those_of_the_leaves_after_any_updates",
    ),
    RanksBySize: ("ranks_decide_and_not_the_sizes_of_priorities",),
    RanksNewRowsLast: ("new_row_is_ranked_by_the_largest_priority_ever_given",),
    IgnoresTheUniformShare: ("uniform_share_is_added_to_the_priorities",),
    DrawsWithReplacement: ("rows_drawn_without_replacement_are_distinct",),
    BreaksInAFork: ("forked_child_draws_what_its_parent_would",),
}
if find_spec("gymnasium"):
    FAULTS[AddsPhantomSteps] = ("all_autoreset_modes_give_the_same_rows",)
