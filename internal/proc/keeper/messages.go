package keeper

// order is what a keeper is asked to do, one JSON object after another on its
// standard input. The first one has Start; the end of the input is an order to
// end everything. Strings of programs are bytes, which need not be text.
type order struct {
	Start     *program   `json:"start,omitempty"`
	Exec      *execution `json:"exec,omitempty"`
	Cancel    int        `json:"cancel,omitempty"` // the id of an execution
	Terminate bool       `json:"terminate,omitempty"`
	Kill      bool       `json:"kill,omitempty"`
}

// program is what is kept.
type program struct {
	Args [][]byte `json:"args"`
	Dir  string   `json:"dir,omitempty"`
	Env  [][]byte `json:"env"`
}

// execution is a program that runs beside the one that is kept.
type execution struct {
	ID   int      `json:"id"`
	Args [][]byte `json:"args"`
}

// message is what a keeper says, one JSON object a line on its standard
// output. Its standard error is the output of the programs.
type message struct {
	Started int       `json:"started,omitempty"` // the number of the process
	Failed  string    `json:"failed,omitempty"`  // why it could not be started
	Exec    *executed `json:"exec,omitempty"`
	Ended   *End      `json:"ended,omitempty"` // of the whole tree
}

// executed is the end of an execution.
type executed struct {
	ID     int `json:"id"`
	Result Result
}

func toBytes(all []string) [][]byte {
	out := make([][]byte, len(all))
	for i, s := range all {
		out[i] = []byte(s)
	}
	return out
}

func toStrings(all [][]byte) []string {
	out := make([]string, len(all))
	for i, b := range all {
		out[i] = string(b)
	}
	return out
}
