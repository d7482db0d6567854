package ledger

// Finding is what an owner knows of an attempt whose outcome it does not know.
type Finding struct {
	Refused bool // the request was refused: a call that is not listed later was not created
	Shown   bool // the API showed the call, without an id that can be read: it was created
	// Uncounted: the attempt says nothing of the dial, so it does not count as one in which
	// it was sent. A Standing has it taken off already.
	Uncounted bool
}

// Sent is how often the dial has been sent, this attempt included, as in Standing.
func (c Claim) Sent() int { return c.sent }
