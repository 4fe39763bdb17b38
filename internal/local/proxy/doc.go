// Package proxy splits the requests of local runs between the tracks of
// workloads, as a gateway does in a cluster: by host, path and weight.
//
// It speaks HTTP/1.1 and unencrypted HTTP/2 on one port of this machine, and
// passes on streams, trailers, WebSockets and whatever else upgrades a
// connection.
//
// # What it promises
//
//   - Each request is given to a track by the weights of the moment it comes
//     in. Twenty requests in a row are split as evenly as whole numbers allow,
//     in an order that follows no pattern, so that clients which send different
//     requests in turn do not send one kind of them to one track only.
//   - A request goes to ready pods alone. A share that belongs to a track
//     without a ready pod is answered 503 and never given to the other track,
//     as proxies for Kubernetes do: a rollout must see what its weights do.
//   - When [Server.SetEndpoints] or [Server.SetRoute] has returned, no new
//     request goes by what was set before, those that do are counted until
//     their last byte, and [Server.Drain] waits for them.
//   - A request is sent again, to another pod of the same track, only when
//     nothing of it was sent the first time. What may have been processed is
//     never sent twice: a pod that dies of a request does not take the next one
//     with it, and gates see the error.
package proxy
