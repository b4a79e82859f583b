"""The table of the demonstration: what an OpenBCI Cyton sends, one row per packet."""

import dataframely as dy

from neuralake_kernel.catalog import table

__all__ = ["Openbci"]

_UV = {"physical_unit": "uV"}
_G = {"physical_unit": "g"}


@table(topic="openbci.raw", description="Cyton board log, one row per packet.")
class Openbci(dy.Schema):
    """Eight channels and the accelerometer, at 250 Hz."""

    session = dy.String(nullable=False)
    packet = dy.Int16(nullable=False, min=0, max=255, description="the board's own counter, wraps")
    event_time = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    ch1_uv = dy.Float32(nullable=True, metadata=_UV)
    ch2_uv = dy.Float32(nullable=True, metadata=_UV)
    ch3_uv = dy.Float32(nullable=True, metadata=_UV)
    ch4_uv = dy.Float32(nullable=True, metadata=_UV)
    ch5_uv = dy.Float32(nullable=True, metadata=_UV)
    ch6_uv = dy.Float32(nullable=True, metadata=_UV)
    ch7_uv = dy.Float32(nullable=True, metadata=_UV)
    ch8_uv = dy.Float32(nullable=True, metadata=_UV)
    accel_x_g = dy.Float32(nullable=True, metadata=_G)
    accel_y_g = dy.Float32(nullable=True, metadata=_G)
    accel_z_g = dy.Float32(nullable=True, metadata=_G)
