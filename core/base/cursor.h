/* core/base/cursor.h: reading and writing wire bytes.
 *
 * A reader (struct rd) and a writer (struct wr) walk over memory they do not own and can never leave it. Their error is sticky:
 * after the first overrun every further read yields zero and every further write does nothing, so that parsing code reads straight
 * down and asks once, with rd_ok() or wr_ok(), at the end. `be` is network order, `le` little endian (WireGuard, netlink-free).
 */
#pragma once

#include "core/base/types.h"

#include <string.h>

struct rd {
	const u8 *p;
	const u8 *end;
	bool failed;
};

struct wr {
	u8 *start;
	u8 *p;
	u8 *end;
	bool failed;
};

static inline struct rd rd_init(const void *p, size_t n)
{
	return (struct rd){ (const u8 *)p, p ? (const u8 *)p + n : NULL, false };
}

static inline struct rd rd_span(struct span s)
{
	return rd_init(s.p, s.n);
}

static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

static inline bool rd_ok(const struct rd *r)
{
	return !r->failed;
}

/* True when nothing failed and nothing is left: the block was consumed exactly. */
static inline bool rd_done(const struct rd *r)
{
	return !r->failed && r->p == r->end;
}

/* The next n bytes, or NULL (and the sticky error) when there are fewer. */
static inline const u8 *rd_take(struct rd *r, size_t n)
{
	if (r->failed || rd_left(r) < n) {
		r->failed = true;
		r->p = r->end;
		return NULL;
	}
	const u8 *p = r->p;
	r->p += n;
	return p;
}

static inline struct span rd_bytes(struct rd *r, size_t n)
{
	const u8 *p = rd_take(r, n);
	return p ? (struct span){ p, n } : SPAN_NONE;
}

static inline void rd_skip(struct rd *r, size_t n)
{
	(void)rd_take(r, n);
}

/* Fills out with zeros on failure. */
static inline void rd_copy(struct rd *r, void *out, size_t n)
{
	const u8 *p = rd_take(r, n);
	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

static inline u16 get_be16(const u8 *p)
{
	return (u16)((u16)p[0] << 8 | p[1]);
}

static inline u32 get_be32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | (u32)p[3];
}

static inline u64 get_be64(const u8 *p)
{
	return (u64)get_be32(p) << 32 | get_be32(p + 4);
}

static inline u32 get_le32(const u8 *p)
{
	return (u32)p[3] << 24 | (u32)p[2] << 16 | (u32)p[1] << 8 | (u32)p[0];
}

static inline u64 get_le64(const u8 *p)
{
	return (u64)get_le32(p + 4) << 32 | get_le32(p);
}

static inline void put_be16(u8 *p, u16 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static inline void put_be32(u8 *p, u32 v)
{
	put_be16(p, (u16)(v >> 16));
	put_be16(p + 2, (u16)v);
}

static inline void put_be64(u8 *p, u64 v)
{
	put_be32(p, (u32)(v >> 32));
	put_be32(p + 4, (u32)v);
}

static inline void put_le32(u8 *p, u32 v)
{
	p[0] = (u8)v;
	p[1] = (u8)(v >> 8);
	p[2] = (u8)(v >> 16);
	p[3] = (u8)(v >> 24);
}

static inline void put_le64(u8 *p, u64 v)
{
	put_le32(p, (u32)v);
	put_le32(p + 4, (u32)(v >> 32));
}

static inline u8 rd_u8(struct rd *r)
{
	const u8 *p = rd_take(r, 1);
	return p ? p[0] : 0;
}

static inline u16 rd_be16(struct rd *r)
{
	const u8 *p = rd_take(r, 2);
	return p ? get_be16(p) : 0;
}

static inline u32 rd_be32(struct rd *r)
{
	const u8 *p = rd_take(r, 4);
	return p ? get_be32(p) : 0;
}

static inline u64 rd_be64(struct rd *r)
{
	const u8 *p = rd_take(r, 8);
	return p ? get_be64(p) : 0;
}

static inline u32 rd_le32(struct rd *r)
{
	const u8 *p = rd_take(r, 4);
	return p ? get_le32(p) : 0;
}

static inline u64 rd_le64(struct rd *r)
{
	const u8 *p = rd_take(r, 8);
	return p ? get_le64(p) : 0;
}

static inline struct wr wr_init(void *p, size_t n)
{
	return (struct wr){ (u8 *)p, (u8 *)p, (u8 *)p + n, false };
}

static inline bool wr_ok(const struct wr *w)
{
	return !w->failed;
}

static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

static inline size_t wr_left(const struct wr *w)
{
	return (size_t)(w->end - w->p);
}

static inline struct span wr_span(const struct wr *w)
{
	return (struct span){ w->start, wr_len(w) };
}

/* Room for n bytes, to be filled by the caller; NULL (and the sticky error) when it does not fit. */
static inline u8 *wr_reserve(struct wr *w, size_t n)
{
	if (w->failed || wr_left(w) < n) {
		w->failed = true;
		return NULL;
	}
	u8 *p = w->p;
	w->p += n;
	return p;
}

static inline void wr_bytes(struct wr *w, const void *src, size_t n)
{
	u8 *p = wr_reserve(w, n);
	if (p && n > 0)
		memcpy(p, src, n);
}

static inline void wr_zero(struct wr *w, size_t n)
{
	u8 *p = wr_reserve(w, n);
	if (p && n > 0)
		memset(p, 0, n);
}

static inline void wr_str(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

static inline void wr_u8(struct wr *w, u8 v)
{
	wr_bytes(w, &v, 1);
}

static inline void wr_be16(struct wr *w, u16 v)
{
	u8 b[2];
	put_be16(b, v);
	wr_bytes(w, b, sizeof(b));
}

static inline void wr_be32(struct wr *w, u32 v)
{
	u8 b[4];
	put_be32(b, v);
	wr_bytes(w, b, sizeof(b));
}

static inline void wr_be64(struct wr *w, u64 v)
{
	u8 b[8];
	put_be64(b, v);
	wr_bytes(w, b, sizeof(b));
}

static inline void wr_le32(struct wr *w, u32 v)
{
	u8 b[4];
	put_le32(b, v);
	wr_bytes(w, b, sizeof(b));
}

static inline void wr_le64(struct wr *w, u64 v)
{
	u8 b[8];
	put_le64(b, v);
	wr_bytes(w, b, sizeof(b));
}
