// Package flags answers, inside a service, whether a feature is on for a user.
//
// Records live in Redis, one JSON text per flag under "feature_flag:<name>".
// A [Client] keeps an immutable copy of all of them in memory: an answer
// takes no lock, no allocation and no round trip. Changes are pushed; when
// Redis is away the last known values stay.
//
//	client, err := flags.Open(ctx, "redis://redis:6379/0", flags.Options{})
//	...
//	if client.Bool("new_profile_format", false, flags.User(id).With("country", "FR")) {
//
// # What a record means
//
// A flag is on for a user when all four agree:
//
//   - enabled is true;
//   - the user is within rollout_percentage: the user's bucket, 0 to 99999,
//     is a hash of salt and user, so the answer is the same in every process,
//     independent between flags, and whoever is in at 5 % is in at 50 %;
//   - target_users is empty or holds the user;
//   - target_attributes is empty or every attribute in it has the value
//     given there (or one of a list of values). A missing attribute does not
//     match.
//
// A user without a key is in no bucket: below 100 % the flag is off for it,
// and never decided by chance.
//
// # Writing
//
// [Admin] changes records. Each write is one script in Redis that compares
// with what was read, sets, appends to the flag's audit stream and tells the
// clients. No field is added to a record that does not have it: a reader
// that knows only the fields above goes on working.
package flags
