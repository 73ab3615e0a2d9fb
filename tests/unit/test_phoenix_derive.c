/* The derivations of the portal against the vectors of both specs. */
#include "core/base/encode.h"
#include "core/phoenix/server.h"
#include "tests/unit/test.h"

#include <string.h>

static void key_text(char out[static 45], u8 first, u8 step)
{
	u8 key[32];

	for (u8 i = 0; i < 32; i++)
		key[i] = (u8)(first + i * step);
	base64_encode(out, 45, SPAN(key, 32));
}

TEST(spec10_60_spec20_14_vectors)
{
	static const char client[] = "11111111-1111-4111-8111-111111111111", gateway[] = "22222222-2222-4222-8222-222222222222";
	static const char stamp[] = "0000000000000000000000000000000000000000000000000000000000000001";
	char client_pk[45], gateway_pk[45], text[45], user[PHX_TURN_USERNAME_STRLEN], password[PHX_TURN_PASSWORD_STRLEN], id[UUID_STRLEN];
	u8 a[32], b[32], psk[32];
	struct phx_ice ice;

	key_text(client_pk, 0, 1);
	key_text(gateway_pk, 32, 1);
	memset(a, 1, 32);
	memset(b, 2, 32);
	phx_derive_psk(false, SPAN(a, 32), SPAN(b, 32), client, gateway, client_pk, gateway_pk, psk);
	base64_encode(text, sizeof(text), SPAN(psk, 32));
	EXPECT_STR(text, "nf/zxFPO6UthXqXx5mQvtNZLT0cwCJiO6nYyJhnspc4=");
	phx_derive_ice(client, client_pk, gateway, gateway_pk, &ice);
	EXPECT_STR(ice.initiator_username, "w7up");
	EXPECT_STR(ice.initiator_password, "ksqwm66pilnb7skdwwfw3r");
	EXPECT_STR(ice.receiver_username, "kwe6");
	EXPECT_STR(ice.receiver_password, "mzkrj52x5h5ebrfdsh5iyq");
	struct uuid relay = phx_derive_relay_id(stamp);
	EXPECT_STR(uuid_format(&relay, id), "c386d8e8-d073-42f2-a39e-189c8e6c57bb");
	phx_derive_turn(client_pk, 1900000000, stamp, user, password);
	EXPECT_STR(user, "1900000000:kF8o3vGOqsBa5vErLDRSdEr69ibaE0PVezlbVE4FGbY");
	EXPECT_STR(password, "GlS2CcnCQC6dC6TneWlFkn83RNTijKKbRvfnKd/92QU");
}

TEST(spec60_45_spec50_57_vectors)
{
	static const char client[] = "11111111-2222-4333-8444-555555555555", gateway[] = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
	char client_pk[45], gateway_pk[45], text[45], user[PHX_TURN_USERNAME_STRLEN], password[PHX_TURN_PASSWORD_STRLEN], id[UUID_STRLEN];
	u8 a[32], b[32], psk[32];
	struct phx_ice ice;

	key_text(client_pk, 1, 0);
	key_text(gateway_pk, 2, 0);
	for (u8 i = 0; i < 32; i++) {
		a[i] = i;
		b[i] = (u8)(32 + i);
	}
	phx_derive_psk(false, SPAN(a, 32), SPAN(b, 32), client, gateway, client_pk, gateway_pk, psk);
	base64_encode(text, sizeof(text), SPAN(psk, 32));
	EXPECT_STR(text, "oD/GMttDnuT1wpX1bXGxI67+tCZPz1NY4lpmsllFyes=");
	phx_derive_ice(client, client_pk, gateway, gateway_pk, &ice);
	EXPECT_STR(ice.initiator_username, "gp2s");
	EXPECT_STR(ice.initiator_password, "35ggfvnr76oqphuprfedir");
	EXPECT_STR(ice.receiver_username, "x5j5");
	EXPECT_STR(ice.receiver_password, "dwypzwsjzxffqhdll73kna");
	struct uuid relay = phx_derive_relay_id("0123456789abcdef");
	EXPECT_STR(uuid_format(&relay, id), "9f9f5111-f7b2-4a78-9f1f-1ddde5ebc2dd");
	phx_derive_turn(client_pk, PHX_GATEWAY_TURN_EXPIRY, "0123456789abcdef", user, password);
	EXPECT_STR(user, "2145916800:xXzDtV05+ab3cvUI44IeCigIIjUsDQ8NJZ+6Y7dNqaA");
	EXPECT_STR(password, "Ef4Po7SCdgEZ9q/aNGgli2zDVmH5YEe3MG2xF4E9hCM");
}
