"""Models that are trained and logged."""

import torch
from torch import nn

import relustat
from relustat.integrations.metrics import filled_bins, histograms


class Net(nn.Module):
    """A ReLU as a module, and one as a function, behind a name that few tools allow."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
        self.head = nn.ModuleDict({"(a): b": nn.Sequential(nn.ReLU(), nn.Linear(6, 1))})

    def forward(self, x):
        return self.head["(a): b"](self.net(x))


SITES = ["net.1", "head.(a): b.0"]


def steps(count=3):
    """The report after each of some calls."""
    torch.manual_seed(0)
    model = Net()
    with relustat.watch(model) as watch:
        for _ in range(count):
            model(torch.randn(16, 4))
            yield watch.report()


def expected_histograms(report, most=None):
    return {
        name: [each.tolist() for each in filled_bins(histogram, most)]
        for name, histogram in histograms(report).items()
    }


def lightning_model(base, data):
    """A model of one of Lightning's packages, which calls its ReLUs in ``training_step``."""

    class Model(base):
        def __init__(self):
            super().__init__()
            self.part = Net()

        def training_step(self, batch):
            loss = self.part(torch.relu(batch)).square().mean()
            self.log("loss", loss)
            return loss

        def validation_step(self, batch):
            self.log("val_loss", self.part(torch.relu(batch)).square().mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.01)

        def train_dataloader(self):
            return torch.utils.data.DataLoader(data, batch_size=8)

        val_dataloader = train_dataloader

    torch.manual_seed(0)
    return Model()


class ForTrainer(torch.nn.Module):
    """As transformers' Trainer wants it."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        return {"loss": self.net(torch.relu(x)).square().mean()}


def trainer_of(folder, data, report_to="none", callbacks=(), **options):
    from transformers import Trainer, TrainingArguments

    torch.manual_seed(0)
    arguments = TrainingArguments(
        output_dir=str(folder),
        report_to=report_to,
        logging_steps=4,
        num_train_epochs=2,
        per_device_train_batch_size=8,
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="epoch",
        **options,
    )
    samples = [{"x": x} for x in data]
    return Trainer(ForTrainer(), arguments, train_dataset=samples, callbacks=list(callbacks))
