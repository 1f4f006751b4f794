"""The stages. `ALL` is what the version test vouches for."""

from jobs.stages.analysis import ANALYSIS_STAGES, REPORT_STAGES
from jobs.stages.calibration import CALIBRATION
from jobs.stages.card import CARD
from jobs.stages.card_pictures import CARD_REAL, CARD_SAMPLES, CARD_SHEETS, CARD_VIEWS
from jobs.stages.card_surfaces import CARD_MESHES, CARD_SHAPES, CARD_TRUTH
from jobs.stages.comparison import COMPARISON
from jobs.stages.evaluate import EVALUATE
from jobs.stages.faces import FACES, RENDER
from jobs.stages.fid import FEATURES, FID, REAL
from jobs.stages.finetune import FINETUNE
from jobs.stages.judge import JUDGE
from jobs.stages.pretrain import ADVERSARIAL, PROJECTED, WARMSTART
from jobs.stages.quantity import QUANTITY_STAGES
from jobs.stages.rankings import RANKINGS
from jobs.stages.rehearsal import REHEARSAL
from jobs.stages.reward import REWARD
from jobs.stages.shapes import MEASURES, SLABS
from jobs.stages.tables import SCORES, TABLES, TRIAL
from jobs.stages.views import VIEWS
from jobs.store.stage import Stage

ALL: tuple[Stage, ...] = (
    RENDER,
    FACES,
    REHEARSAL,
    WARMSTART,
    PROJECTED,
    ADVERSARIAL,
    MEASURES,
    RANKINGS,
    SLABS,
    VIEWS,
    REWARD,
    CALIBRATION,
    COMPARISON,
    FINETUNE,
    REAL,
    FEATURES,
    FID,
    EVALUATE,
    TRIAL,
    JUDGE,
    TABLES,
    SCORES,
    CARD_REAL,
    CARD_SAMPLES,
    CARD_VIEWS,
    CARD_SHEETS,
    CARD_MESHES,
    CARD_SHAPES,
    CARD_TRUTH,
    CARD,
    *QUANTITY_STAGES.values(),
    *ANALYSIS_STAGES.values(),
    *REPORT_STAGES.values(),
)
