"""The training loop: a PyTorch program that can stop after any step and go on in another process as if it never had.

    training = Training(model, data, settings, logits)
    for loss, correct, count in training.steps():  ...  training.state()        what goes on needs; `restore` takes it back

What decides the next step: the weights, the optimizer's state, the schedule, the place in the data, and the random numbers (where they
stand, and where they stood when the epoch began, which is where its order of samples comes from).
"""
import rushlight as torch
from rushlight import nn, optim
from rushlight.utils.data import DataLoader


class Training:
    """Adam, a learning rate that rises to `settings.lr` and falls again, gradients clipped to length 1.

    `data` gives pairs (x, y) with whole numbers in y; `logits(model, x)` has the shape of y and a last dimension of classes.
    """

    def __init__(self, model, data, settings, logits):
        self.model, self.logits, self.epochs = model, logits, settings.epochs
        self.loader = DataLoader(data, batch_size=settings.batch_size, shuffle=True)
        self.optimizer = optim.Adam(model.parameters(), lr=settings.lr)
        self.scheduler = optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=settings.lr, epochs=settings.epochs,
                                                       steps_per_epoch=len(self.loader))
        self.epoch = self.step = 0  # finished epochs, and finished steps of the one under way
        self.epoch_began = None  # the random numbers then

    @property
    def steps_an_epoch(self):
        return len(self.loader)

    def steps(self):
        """Train to the end; (loss, correct answers, answers) after each step."""
        while self.epoch < self.epochs:
            self.model.train()
            for x, y in self._batches():
                logits = self.logits(self.model, x)
                loss = nn.functional.cross_entropy(logits.flatten(0, -2), y.flatten())
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                self.scheduler.step()
                correct = (logits.argmax(dim=-1) == y).sum()
                self.step += 1
                if self.step == len(self.loader):
                    self.epoch, self.step = self.epoch + 1, 0
                yield loss.item(), correct.item(), y.numel()

    def _batches(self):
        """The epoch's batches; of an epoch under way, those that are left."""
        if self.step == 0:
            self.epoch_began = torch.get_rng_state()
            return iter(self.loader)
        now = torch.get_rng_state()
        torch.set_rng_state(self.epoch_began)
        batches = iter(self.loader)
        for _ in range(self.step):
            next(batches)
        torch.set_rng_state(now)
        return batches

    def state(self):
        """All that decides how training goes on, as tensors and plain containers."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "scheduler": self.scheduler.state_dict(),
                "epoch": self.epoch, "step": self.step, "random": torch.get_rng_state(), "epoch_began": self.epoch_began}

    def restore(self, state):
        """Go on from what `state` gave.  Where there are more epochs now, the learning rate follows the longer schedule from here on."""
        schedule = self.scheduler.state_dict()
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"] | {name: schedule[name] for name in ("total_steps", "_schedule_phases")})
        self.epoch, self.step, self.epoch_began = state["epoch"], state["step"], state["epoch_began"]
        torch.set_rng_state(state["random"])
