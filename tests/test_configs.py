"""Where memplan looks for its data files: in a checkout beside the package, in an installation inside it."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import copy

import pytest

from memplan import configs


@pytest.mark.parametrize("beside", ["checkout", "checkout/memplan"])
def test_the_folder_lies_beside_the_package_or_inside_it(tmp_path: Path, beside: str) -> None:
    package, data = tmp_path / "checkout" / "memplan", tmp_path / beside / "configs"
    package.mkdir(parents=True)
    data.mkdir()
    spec = spec_from_file_location("elsewhere", copy(configs.__file__, package))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert Path(module.config_folder()) == data
