"""The threshold curve as an SVG, which browsers and editors show."""

from __future__ import annotations

from pixelbrain.identity.evaluation.curve import Curve, Point

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 420, 56, 46, 24, 56
_LINES = (
    ("precision", "#0b6e99", lambda point: point.scores.pair_p),
    ("recall", "#b3541e", lambda point: point.scores.pair_r),
    ("F", "#3f7d20", lambda point: point.scores.pair_f),
)


def draw_curve(curve: Curve, chosen: Point | None = None) -> str:
    """Precision, recall and F of pairs over the threshold; a line at the one in use, and at one that was chosen."""
    low, high = curve.points[0].threshold, curve.points[-1].threshold

    def x(threshold: float) -> float:
        return round(_LEFT + (threshold - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (1 - value) * (_HEIGHT - _TOP - _BOTTOM), 1)

    floor = y(0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13"><title>How people are told apart by threshold: '
        f"{curve.model}, {curve.strategy}</title><rect width='100%' height='100%' fill='#fff'/>"
    ]
    for tenth in range(0, 11, 2):
        at = y(tenth / 10)
        parts.append(f'<path d="M{_LEFT} {at}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4}" text-anchor="end" fill="#444">{tenth / 10:.1f}</text>')
    for part in range(6):
        at = low + (high - low) * part / 5
        parts.append(f'<text x="{x(at)}" y="{floor + 18}" text-anchor="middle" fill="#444">{at:.3f}</text>')
    axis = f"threshold, cosine similarity ({curve.model}, {curve.strategy})"
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 12}" text-anchor="middle" fill="#222">{axis}</text>')
    for number, (name, colour, value) in enumerate(_LINES):
        dots = " ".join(f"{x(point.threshold)},{y(value(point))}" for point in curve.points)
        parts.append(f'<polyline points="{dots}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<path d="M{_LEFT + 110 * number} 20h22" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{_LEFT + 110 * number + 28}" y="24" fill="#222">{name}</text>')
    marks = [(curve.used, "in use")] + ([(chosen.threshold, "chosen")] if chosen is not None else [])
    for number, (threshold, name) in enumerate(marks):
        at = x(threshold)
        parts.append(
            f'<path d="M{at} {_TOP}V{floor}" stroke="#222" stroke-dasharray="{"4 3" if not number else "1 0"}"/>'
        )
        beside = f'x="{at + 6}"' if at < _WIDTH - 170 else f'x="{at - 6}" text-anchor="end"'
        parts.append(f'<text {beside} y="{floor - 10 - 18 * number}" fill="#222">{name}: {threshold:.3f}</text>')
    return "\n".join([*parts, "</svg>\n"])
