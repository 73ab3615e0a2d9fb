/* core/wg/session.h: one pair of transport keys with its replay window. Private to core/wg.
 */
#pragma once

#include "core/wg/wg.h"

#define WINDOW_WORDS (WG_WINDOW / 64 + 1) /* one word more than the window: the newest one fills up while the oldest is still asked */

/* Which of the last WG_WINDOW counters were seen (RFC 6479). All zero = nothing yet. */
struct wg_window {
	u64 next; /* newest counter + 1 */
	u64 seen[WINDOW_WORDS];
};

struct wg_session {
	u32 local_index;
	u32 remote_index;
	bool is_initiator; /* we made the initiation it came from */
	bool has_sent_data, has_received_data; /* other than keepalives */
	u64 order;         /* rises with every session of the tunnel */
	u64 established;   /* `now` of the response */
	u64 send_counter;
	u8 send_key[32];
	u8 recv_key[32];
	struct wg_window window;
};

/* Marks the counter as seen. False when it was seen before or lies WG_WINDOW or more behind the newest. */
static inline bool wg_window_accept(struct wg_window *win, u64 counter)
{
	u64 word = counter / 64;
	if (counter >= WG_REJECT_AFTER_MESSAGES)
		return false;
	if (counter >= win->next) {
		u64 newest_word = win->next > 0 ? (win->next - 1) / 64 : 0;
		u64 fresh = MIN(word - newest_word, (u64)WINDOW_WORDS);
		for (u64 i = 0; i < fresh; i++)
			win->seen[(word - i) % WINDOW_WORDS] = 0;
		win->next = counter + 1;
	} else if (win->next - 1 - counter >= WG_WINDOW) {
		return false;
	}
	u64 bit = 1ull << counter % 64;
	u64 *seen = &win->seen[word % WINDOW_WORDS];
	if (*seen & bit)
		return false;
	*seen |= bit;
	return true;
}
