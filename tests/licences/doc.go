// Package licences reads under which licences the programs of this repository are:
// the licence of every linked module and folder by its text, and every linked file for
// words that say otherwise.
//
//	licences_test.go  the programs keep the rule
//	allowed_test.go   the rule: what is allowed, and what with a reason
//	linked_test.go    what is linked, on every platform of a release
//	check_test.go     which licence a text is, and what a file says
//	planted_test.go   the checks find what is planted
//	notices_test.go   THIRD_PARTY_NOTICES is made from it; make notices writes it
package licences
