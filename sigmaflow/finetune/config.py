"""Settings of the GAN loop. Defaults are the paper's (section 3.2.3) and EG3D's own."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Config(BaseModel):
    """Frozen settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AdversarialConfig(Config):
    """What the plain GAN part of the loop needs, for pretraining and fine-tuning alike."""

    kimg: float = Field(20.0, gt=0, description="thousands of images shown")
    batch: int = Field(16, ge=1)
    tick_kimg: float = Field(1.0, gt=0, description="thousands of images between two ticks")
    g_lr: float = Field(0.0025, gt=0)
    d_lr: float = Field(0.002, gt=0)
    beta2: float = Field(0.99, ge=0, lt=1)
    r1_gamma: float = Field(20.0, ge=0)
    r1_interval: int = Field(16, ge=1)
    density_reg: float = Field(0.25, ge=0)
    density_reg_interval: int = Field(4, ge=1)
    density_reg_p_dist: float = Field(0.004, gt=0)
    density_reg_points: int = Field(1000, ge=1)
    gpc_reg_prob: float = Field(0.5, ge=0, le=1, description="share of swapped condition cameras")
    gpc_reg_fade_kimg: float = Field(
        0.0, ge=0, description="kimg over which that share falls from 1; EG3D's pretraining: 1000"
    )
    blur_init_sigma: float = Field(
        0.0, ge=0, description="first width of the discriminator's blur; EG3D's pretraining: 10"
    )
    blur_fade_kimg: float = Field(100.0, ge=0, description="kimg over which the blur goes to 0")
    aug: Literal["none", "fixed", "ada"] = Field("none", description="of what D sees")
    aug_p: float = Field(0.0, ge=0, le=1, description="strength at the start, and if fixed")
    ada_target: float = Field(0.6, ge=-1, le=1, description="mean sign of real logits")
    ada_interval: int = Field(4, ge=1, description="steps between two moves of the strength")
    ada_kimg: float = Field(500.0, gt=0, description="kimg from strength 0 to 1")
    ema_kimg: float = Field(5.0, gt=0, description="half-life of the generator's moving average")
    noise_mode: Literal["random", "const", "none"] = "random"
    seed: int = Field(0, ge=0)


class FinetuneConfig(AdversarialConfig):
    """Eq. 5-7 in one summed generator loss."""

    lambda_r: float = Field(10.0, ge=0, description="weight of the reward, Eq. 6")
    lambda_c: float = Field(0.01, ge=0, description="weight of the density consistency, Eq. 7")
    clamp_low: float = -10.0
    clamp_high: float = 10.0
    consistency_resolution: int = Field(64, ge=2)

    @model_validator(mode="after")
    def _clamp_is_an_interval(self) -> FinetuneConfig:
        if self.clamp_low >= self.clamp_high:
            raise ValueError(
                f"clamp_low {self.clamp_low} must be below clamp_high {self.clamp_high}"
            )
        return self


class WarmstartConfig(Config):
    """Fit of known latents to their rendered views, before any adversary.

    First `volume_kimg` images with `rays` random rays a view and no super-resolution, then whole
    images. A step takes `identities` latents and `views` views of each.
    """

    kimg: float = Field(40.0, gt=0)
    volume_kimg: float = Field(28.0, ge=0)
    identities: int = Field(8, ge=1)
    views: int = Field(2, ge=1)
    rays: int = Field(192, ge=1)
    tick_kimg: float = Field(0.4, gt=0)
    lr: float = Field(0.004, gt=0)
    mapping_lr_gain: float = Field(10.0, gt=0, description="the mapping's rate over the rest's")
    sigma_gain: float = Field(
        10.0, gt=0, description="first factor on the decoder's sigma row: surfaces, not fog"
    )
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    decay_from: float = Field(0.6, ge=0, le=1, description="share of kimg after which lr falls")
    edge_weight: float = Field(0.5, ge=0, description="weight of the image-gradient loss")
    density_reg: float = Field(0.05, ge=0)
    gpc_reg_prob: float = Field(0.5, ge=0, le=1)
    ema_kimg: float = Field(0.8, gt=0)
    seed: int = Field(0, ge=0)
