#include "applets/portal/web/parts.h"

static u64 stacked(const struct chart *c, u32 n_series, u32 point)
{
	u64 sum = 0;

	for (u32 s = 0; s < n_series; s++) {
		u64 v = c->series[s].values[point];
		sum = c->is_bars ? (sum > UINT64_MAX - v ? UINT64_MAX : sum + v) : MAX(sum, v);
	}
	return sum;
}

/* The top is a round number of which the ticks are too: 4, 8, 20, 40, 80, 200, …; of bytes 4, 8, 16, … */
void chart_scale(struct chart *c)
{
	u64 most = 0, top = CHART_TICKS;
	bool is_bytes = c->unit && c->unit[0];
	u32 step = 0;

	c->n_points = MIN(c->n_points, CHART_POINTS_MAX);
	c->n_series = MIN(c->n_series, CHART_SERIES_MAX);
	for (u32 i = 0; i < c->n_points; i++)
		most = MAX(most, stacked(c, c->n_series, i));
	for (; top < most && top < UINT64_MAX / 4; step++)
		top = is_bytes || step % 3 != 1 ? top * 2 : top / 2 * 5;
	c->top = top;
	c->label_every = c->n_points <= 8 ? 1 : (c->n_points + 7) / 8;
}

static u32 height(const struct chart *c, u64 value)
{
	/* 64 bits do not hold value * CHART_HEIGHT of petabytes */
	u64 top = c->top ? c->top : 1;

	value = MIN(value, top);
	while (top > UINT64_MAX / 1024) {
		top /= 2;
		value /= 2;
	}
	return (u32)((value * CHART_HEIGHT + top / 2) / top);
}

u32 chart_y(const struct chart *c, u64 value)
{
	return CHART_BASE - height(c, value);
}

u32 chart_x(const struct chart *c, u32 point)
{
	return CHART_LEFT + (c->n_points > 1 ? point * CHART_WIDTH / (c->n_points - 1) : CHART_WIDTH / 2);
}

u32 chart_bar_x(const struct chart *c, u32 point)
{
	return CHART_LEFT + point * CHART_WIDTH / (c->n_points ? c->n_points : 1) + 1;
}

u32 chart_bar_width(const struct chart *c)
{
	u32 slot = CHART_WIDTH / (c->n_points ? c->n_points : 1);

	return slot > 40 ? 36 : slot > 6 ? slot - 2 : slot > 1 ? slot - 1 : 1;
}

u32 chart_bar_y(const struct chart *c, u32 series, u32 point)
{
	return chart_y(c, stacked(c, series + 1, point));
}

u32 chart_bar_height(const struct chart *c, u32 series, u32 point)
{
	return height(c, stacked(c, series + 1, point)) - (series ? height(c, stacked(c, series, point)) : 0);
}

/* Names of lines that end close to each other are put under one another. */
u32 chart_label_y(const struct chart *c, u32 series)
{
	u32 y[CHART_SERIES_MAX];

	for (u32 s = 0; s <= series; s++) {
		y[s] = c->n_points ? chart_y(c, c->series[s].values[c->n_points - 1]) : CHART_BASE;
		for (u32 turn = 0; turn < CHART_SERIES_MAX; turn++)
			for (u32 other = 0; other < s; other++)
				if (y[s] + 13 > y[other] && y[s] < y[other] + 13)
					y[s] = y[other] + 13;
	}
	return y[series] + 4;
}
