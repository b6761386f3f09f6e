"""TorchRL's tests of its prioritized sampler, alone and in its replay buffers."""

from __future__ import annotations

import sys

from suites import Suite


def put_in() -> None:
    """Puts the prioritized sampler in the places of the library's, wherever a module of the library names that."""
    import torchrl.data
    import torchrl.data.replay_buffers.scheduler

    from mujigae.integrations.torchrl import PrioritizedSampler

    theirs = torchrl.data.PrioritizedSampler
    for name, module in list(sys.modules.items()):
        is_definition = name.startswith(
            "torchrl.data.replay_buffers.samplers.prioritized"
        )  # of it, and of a subclass
        if (
            name.startswith("torchrl.")
            and not is_definition
            and getattr(module, "PrioritizedSampler", None) is theirs
        ):
            module.PrioritizedSampler = PrioritizedSampler  # type: ignore[attr-defined]


_SLICES = "`PrioritizedSliceSampler` is not replaced, and needs the library's compiled extension, which is built for another torch."
_TREE = "It reads the library's tree, or the form in which its state was saved before."
_SAMPLERS, _BUFFERS = "test/rb/test_samplers.py::", "test/rb/test_rb_core.py::"

SUITE = Suite(
    name="TorchRL",
    package="torchrl",
    files=("test/rb/test_prioritized.py", "test/rb/test_samplers.py", "test/rb/test_rb_core.py"),
    put_in=put_in,
    replaced=("PrioritizedSampler",),
    left_out={
        "test/rb/test_prioritized.py::test_ptdrb*": "It gives the sampler five places and the storage more; the library's tree rounds five up to eight.",
        _SAMPLERS + "test_prioritized_sampler_load_state_dict_decouples_from_source": _TREE,
        _SAMPLERS + "TestSamplers::test_prb_load_legacy_within_buffer_state_dict*": _TREE,
        _BUFFERS + "test_shared_storage_prioritized_sampler": _TREE,
        _SAMPLERS + "test_prioritized_slice_sampler_*": _SLICES,
        _SAMPLERS + "TestSamplers::test_replacement_kwarg_subclass_unaffected": _SLICES,
        _SAMPLERS + "TestSamplers::test_slice_sampler[*-100-20-None-True]": _SLICES,
        _SAMPLERS + "TestSamplers::test_slice_sampler_prioritized*": _SLICES,
    },
)
