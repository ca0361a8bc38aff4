"""One of several processes that train with a trainer: ``trainings_worker.py KIND FOLDER``.

The first writes ``relustat/relu/calls``, as it was logged last, and the elements of the report.
"""

import json
import sys
from pathlib import Path

import torch
from logged_models import Net, lightning_model, trainer_of

import relustat
from relustat.integrations.metrics import scalars

KIND, FOLDER = sys.argv[1], Path(sys.argv[2])
DATA = torch.linspace(-1, 1, 64 * 4).reshape(64, 4)


def with_lightning():
    import lightning

    from relustat.integrations.lightning import WatchCallback

    class Logged(lightning.pytorch.loggers.CSVLogger):
        def log_metrics(self, metrics, **_):
            found.update(metrics)

    found = {}
    callback = WatchCallback(every=2)
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        callbacks=[callback],
        logger=Logged(FOLDER),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(lightning_model(lightning.LightningModule, DATA))
    return trainer.is_global_zero, found, callback.watch


def with_transformers():
    from relustat.integrations.transformers import WatchCallback

    callback = WatchCallback()
    trainer = trainer_of(FOLDER, DATA, callbacks=[callback], ddp_backend="gloo")
    trainer.train()
    logged = [each for each in trainer.state.log_history if "relustat/dead" in each]
    return trainer.is_world_process_zero(), logged[-1], callback.watch


def with_accelerate():
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

    from relustat.integrations import accelerate

    class Kept(GeneralTracker):
        name = "kept"
        requires_logging_directory = False
        tracker = None

        def log(self, values, **_):
            found.update(values)

    found = {}
    accelerator = Accelerator(cpu=True, log_with=[Kept()])
    accelerator.init_trackers("relus")
    model = accelerator.prepare(Net())
    with relustat.watch(model) as watch, watch.counting():
        for _ in range(4):
            model(torch.relu(torch.randn(8, 4)))
        accelerate.log(accelerator, watch, step=4)
    accelerator.end_training()
    return accelerator.is_main_process, found, watch


is_first, logged, watch = globals()[f"with_{KIND}"]()
if is_first:
    assert logged["relustat/relu/elements"] == scalars(watch)["relustat/relu/elements"]
    calls = watch.stats["relu"].calls
    found = {"calls": logged["relustat/relu/calls"], "report": calls}
    (FOLDER / "found.json").write_text(json.dumps(found))
