"""The yardstick of the training step: a text VAE as one writes it in PyTorch.

`nn.LSTM` over packed sequences, so that no padding is computed, in the LSTMs or in the output
layer; Adam and clipping of the global norm; the library's own defaults. Flow, discrepancy and
metric, which cost `wae_rnf` little, are left out.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from benchmarks.workload import Sizes
from wae_rnf_jax.data.batches import Batch
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID


class TorchVAE(nn.Module):
    """Embedding, LSTM encoder, Gaussian posterior, LSTM decoder started from the code."""

    def __init__(self, size: Sizes) -> None:
        super().__init__()
        hidden = size.hidden_dim
        self.embedding = nn.Embedding(size.vocab_size, size.embedding_dim)
        self.encoder = nn.LSTM(size.embedding_dim, hidden, batch_first=True)
        self.posterior = nn.Linear(2 * hidden, 2 * size.latent_dim)
        self.initial_state = nn.Linear(size.latent_dim, 2 * hidden)
        self.decoder = nn.LSTM(size.embedding_dim, hidden, batch_first=True)
        self.output = nn.Linear(hidden, size.vocab_size)
        self.dropout = nn.Dropout(size.dropout)

    def forward(
        self, inputs: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Args: inputs, targets [B, T]; lengths [B], falling. Returns summed NLL and KL, []."""
        embedded = self.embedding(inputs)
        _, (h, c) = self.encoder(self._packed(self.dropout(embedded), lengths))
        mean, log_var = self.posterior(torch.cat([h[0], c[0]], -1)).chunk(2, -1)
        z = mean + torch.exp(log_var / 2) * torch.randn_like(mean)
        start = torch.tanh(self.initial_state(z)).chunk(2, -1)
        state = tuple(part[None].contiguous() for part in start)
        outputs, _ = self.decoder(self._packed(self.dropout(embedded), lengths), state)
        logits = self.output(self.dropout(outputs.data))
        flat = self._packed(targets, lengths).data
        nll = nn.functional.cross_entropy(logits, flat, reduction="sum")
        return nll, 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum()

    @staticmethod
    def _packed(x: torch.Tensor, lengths: torch.Tensor) -> PackedSequence:
        return pack_padded_sequence(x, lengths, batch_first=True)


class TorchTraining:
    """The model and its optimizer; one step a batch."""

    def __init__(self, size: Sizes, batches: list[Batch], *, clip_norm: float = 5.0) -> None:
        torch.manual_seed(0)
        self.model = TorchVAE(size).train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.clip_norm = clip_norm
        self.batches = [_tensors(batch) for batch in batches]

    def steps(self) -> float:
        """One step on each batch; returns the last loss."""
        for inputs, targets, lengths in self.batches:
            nll, kl = self.model(inputs, targets, lengths)
            loss = (nll + kl) / len(lengths)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
        return loss.item()


def _tensors(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, targets and lengths, in falling order of length as packing wants them."""
    rows = np.argsort(-batch["lengths"], kind="stable")
    rows = rows[batch["where"][rows]]
    words, lengths = batch["tokens"][rows].astype(np.int64), batch["lengths"][rows]
    column = np.full((len(rows), 1), BOS_ID)
    inputs = np.concatenate([column, words], 1)
    targets = np.concatenate([words, np.zeros_like(column)], 1)
    targets[np.arange(len(rows)), lengths] = EOS_ID
    return torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(lengths + 1)
