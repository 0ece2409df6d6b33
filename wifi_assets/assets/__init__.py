"""The assets, one module a group."""

import warnings

import dagster as dg

# backfill_policy and pools are in beta in Dagster 1.13 and used knowingly: one run drains many days.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
