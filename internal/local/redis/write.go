package redis

import (
	"github.com/alicebob/miniredis/v2/server"
)

// peer is a connection of a client.
type peer struct {
	inside bool // one of its commands is being done by before
}

// harmless are the commands that change no key and that miniredis does not
// count among the reading ones.
var harmless = map[string]bool{
	"AUTH": true, "CLIENT": true, "COMMAND": true, "DISCARD": true, "ECHO": true, "HELLO": true, "INFO": true, "MULTI": true,
	"PING": true, "PSUBSCRIBE": true, "PUBLISH": true, "PUBSUB": true, "PUNSUBSCRIBE": true, "QUIT": true, "SCRIPT": true,
	"SELECT": true, "SUBSCRIBE": true, "TIME": true, "UNSUBSCRIBE": true, "UNWATCH": true, "WATCH": true,
}

// patient are the commands that may wait for a long time; a snapshot does not
// wait for them.
var patient = map[string]bool{
	"BLPOP": true, "BRPOP": true, "BRPOPLPUSH": true, "BLMOVE": true, "BLMPOP": true, "BZMPOP": true, "BZPOPMAX": true,
	"BZPOPMIN": true, "WAIT": true, "XREAD": true, "XREADGROUP": true,
}

// before is called before every command. It does those that write by itself,
// so that it has the word before the answer leaves.
func (s *Server) before(p *server.Peer, command string, args ...string) bool {
	if s.commands.IsReadOnlyCommand(command) || harmless[command] {
		s.peer(p)
		return false
	}
	c := s.peer(p)
	if c == nil || c.inside {
		return false
	}
	if err := s.saver.broken(); err != nil {
		p.WriteError("MISCONF the keys cannot be saved, so they cannot be changed: " + err.Error())
		return true
	}
	c.inside = true
	s.do(p, append([]string{command}, args...))
	c.inside = false
	s.saver.save()
	return true
}

func (s *Server) do(p *server.Peer, command []string) {
	if !patient[command[0]] {
		s.writing.RLock()
		defer s.writing.RUnlock()
	}
	s.commands.Dispatch(p, command)
}

// peer returns what is known of a client; nil for what a script of a client
// pretends to be, whose command is part of the script's. A connection that is
// new has no context yet, and a script has one from the start.
func (s *Server) peer(p *server.Peer) *peer {
	if known, ok := s.peers.Load(p); ok {
		return known.(*peer)
	}
	if p.Ctx != nil {
		return nil
	}
	c := &peer{}
	s.peers.Store(p, c)
	p.OnDisconnect(func() { s.peers.Delete(p) })
	return c
}
