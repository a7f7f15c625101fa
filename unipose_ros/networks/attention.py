"""A transformer layer in plain operations, which every exporter knows."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention


class TransformerLayer(nn.Module):
    """Self-attention and a two-layer network, each normalised before and added after.

    Pre-norm as in Xiong et al., ICML 2020.

    Args:
        width: of a token.
        heads: of the attention.
        head_width: of one head.
        hidden: width between the two layers.
    """

    def __init__(self, width: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        self._heads, self._head_width = heads, head_width
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.from_heads = nn.Linear(heads * head_width, width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, S, width) -> (B, S, width)."""
        tokens = tokens + self._attend(self.attention_norm(tokens))
        result: Tensor = tokens + self.narrow(gelu(self.widen(self.mlp_norm(tokens))))
        return result

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, count = tokens.shape[:2]
        parts = self.to_qkv(tokens).reshape(batch, count, 3, self._heads, self._head_width)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = scaled_dot_product_attention(query, key, value)
        result: Tensor = self.from_heads(mixed.transpose(1, 2).reshape(batch, count, -1))
        return result
